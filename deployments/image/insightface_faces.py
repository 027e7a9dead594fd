"""Faces through insightface and ONNX weights that the operator supplies, whose licence may forbid
commercial use. The package is no dependency of this project: it asks for a build of OpenCV that
cannot be installed beside the one used here.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from deployments.image.face_finding import Face, Pixels
from deployments.image.face_media import FaceTools, Swap, swap_events
from deployments.image.reference_images import extracted
from deployments.model_engine import WorkerEngine
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.face_swap import (
    ExtractedImages,
    ExtractImages,
    FaceModel,
    FaceSwapEvent,
    SwapFaces,
)
from serve_app.core.media import BlobStore
from serve_app.core.options.image import InsightfaceOptions
from serve_app.runtime.extras import needed_by

SWAPPER = "inswapper_128.onnx"
DETECTION_PX = (640, 640)


class InsightfaceFaces(WorkerEngine[InsightfaceOptions], FaceModel, FaceTools):
    """A FaceModel. Its models are those of one directory: the swapper, one that finds faces and one
    that recognises them.
    """

    def __init__(
        self, options: InsightfaceOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        with needed_by(options):
            from insightface.app.common import Face as Detail
            from insightface.model_zoo import get_model
        providers = _providers(options)
        files = _weights(model, path, options.engine)
        loaded = {name: get_model(str(file), providers=providers) for name, file in files.items()}
        kinds = {getattr(one, "taskname", ""): one for one in loaded.values()}
        self._swapper = loaded[SWAPPER]
        self._detection = _detection(kinds, model, options.engine)
        self._recognition = _of_kind(kinds, "recognition", model, options.engine)
        device = 0 if "CUDAExecutionProvider" in providers else -1
        self._detection.prepare(device, input_size=DETECTION_PX, det_thresh=options.min_score)
        self._recognition.prepare(device)
        self._detail = Detail

    async def close(self) -> None:
        """Stop; the weights go with the object."""
        await super().close()

    @override
    def swap_faces(self, request: SwapFaces) -> AsyncGenerator[FaceSwapEvent]:
        return swap_events(request, self, self.blobs, executor=self.worker)

    @override
    async def extract_images(self, request: ExtractImages) -> ExtractedImages:
        return await extracted(request, self.find, self.blobs)

    @override
    def find(self, pixels: Pixels) -> list[Face]:
        boxes, places = self._detection.detect(_swapped_channels(pixels))
        faces = [
            Face(
                box=_within(box, pixels),
                eyes=(_place(points[0]), _place(points[1])),
                detail=self._detail(bbox=box[:4], kps=points, det_score=float(box[4])),
            )
            for box, points in zip(boxes, places, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.side)

    @override
    def swapper(self, pixels: Pixels, face: Face) -> Swap:
        self._recognition.get(_swapped_channels(pixels), face.detail)

        def swap(shown: Pixels, target: Face) -> Pixels:
            colours = _swapped_channels(shown)
            made = self._swapper.get(colours, target.detail, face.detail, paste_back=True)
            return _swapped_channels(made)

        return swap


def _providers(options: InsightfaceOptions) -> list[str]:
    import onnxruntime

    has_gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if options.device == "cuda" and not has_gpu:
        raise BackendUnavailable(
            "onnxruntime has no CUDA support",
            remedy="install onnxruntime-gpu, or set device to 'auto'",
            provider=options.engine,
        )
    cpu = ["CPUExecutionProvider"]
    return ["CUDAExecutionProvider", *cpu] if has_gpu and options.device != "cpu" else cpu


def _weights(model: Model, path: Path | None, engine: str) -> dict[str, Path]:
    files = {file.name: file for file in sorted(path.glob("*.onnx"))} if path else {}
    if SWAPPER not in files:
        raise BackendUnavailable(
            f"model {model.id!r} has no {SWAPPER!r}",
            remedy=(
                "set its source to a directory with it and with the ONNX files of a detection and "
                "a recognition model"
            ),
            provider=engine,
        )
    return files


def _detection(kinds: dict[str, Any], model: Model, engine: str) -> Any:
    found = _of_kind(kinds, "detection", model, engine)
    if not getattr(found, "use_kps", True):
        raise BackendUnavailable(
            f"the detection model of {model.id!r} does not locate eyes",
            remedy="use one that does, such as det_10g.onnx",
            provider=engine,
        )
    return found


def _of_kind(kinds: dict[str, Any], kind: str, model: Model, engine: str) -> Any:
    if kind not in kinds:
        raise BackendUnavailable(
            f"model {model.id!r} has no {kind} model",
            remedy=f"put its ONNX file beside {SWAPPER!r}",
            provider=engine,
        )
    return kinds[kind]


def _place(point: Any) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _within(box: Any, pixels: Pixels) -> tuple[int, int, int, int]:
    height, width = pixels.shape[:2]
    left, top, right, bottom = (round(float(value)) for value in box[:4])
    return max(0, left), max(0, top), min(width, right), min(height, bottom)


def _swapped_channels(pixels: Any) -> Pixels:
    """RGB from BGR, and the other way round."""
    swapped: Pixels = np.ascontiguousarray(pixels[..., ::-1])
    return swapped
