"""The engine over insightface, with a stand-in for the package, which is installed apart, and its
weights. Its public interface is that of version 2.1.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployments.image.insightface_faces import InsightfaceFaces
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.image.face_swap import ExtractImages, SwapFaces, SwappedFaces
from serve_app.core.options.image import InsightfaceOptions
from tests.material import content, stored
from tests.scenes import png_of

FILES = ("inswapper_128.onnx", "det_10g.onnx", "w600k_r50.onnx", "genderage.onnx")
MODEL_ZOO = '''
import numpy as np

class Detection:
    """Sees a face in everything that is blue, in BGR."""
    taskname = "detection"
    def prepare(self, ctx_id, *, input_size, det_thresh):
        assert (ctx_id, input_size) == (-1, (640, 640)) and 0 < det_thresh < 1
    def detect(self, img, input_size=None, max_num=0, metric="default"):
        boxes, points = [], []
        columns = np.nonzero((img[..., 0] > 200).any(0))[0]
        for part in np.split(columns, np.nonzero(np.diff(columns) > 1)[0] + 1):
            if len(part):
                rows = np.nonzero((img[:, part[0], 0] > 200))[0]
                box = part[0] - 0.4, rows[0], part[-1] + 1, rows[-1] + 1, 0.9
                boxes.append(box)
                points.append([(box[0] + 1, box[1] + 1)] * 5)
        return np.array(boxes).reshape(-1, 5), np.array(points)

class Recognition:
    taskname = "recognition"
    def prepare(self, ctx_id):
        assert ctx_id == -1
    def get(self, img, face):
        left, top, right, bottom = map(round, face.bbox)
        face.embedding = img[top:bottom, left:right].mean((0, 1))

class Swapper:
    def get(self, img, target_face, source_face, paste_back):
        assert paste_back and target_face.kps.shape == (5, 2)
        made = img.copy()
        left, top, right, bottom = (max(0, round(v)) for v in target_face.bbox)
        made[top:bottom, left:right] = source_face.embedding
        return made

class Other:
    taskname = "genderage"

def get_model(name, providers):
    assert providers == ["CPUExecutionProvider"]
    kinds = {"inswapper": Swapper, "det_10g": Detection, "w600k_r": Recognition}
    return next((kind() for part, kind in kinds.items() if part in name), Other())
'''
COMMON = """
class Face(dict):
    __getattr__ = dict.get
    __setattr__ = dict.__setitem__
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = tmp_path / "packages" / "insightface"
    (root / "app").mkdir(parents=True)
    (root / "__init__.py").touch()
    (root / "app" / "__init__.py").touch()
    (root / "app" / "common.py").write_text(COMMON)
    (root / "model_zoo.py").write_text(MODEL_ZOO)
    monkeypatch.syspath_prepend(root.parent)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "insightface"]:
        del sys.modules[name]


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def weights(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def loaded(path: Path | None, blobs: FsspecBlobStore) -> InsightfaceFaces:
    options = InsightfaceOptions(device="cpu")
    return InsightfaceFaces(options, Model(id="inswapper"), path=path, blobs=blobs)


def image(*blue: tuple[int, int, int, int], shade: int = 255) -> bytes:
    made = Image.new("RGB", (120, 60), (90, 80, 70))
    for box in blue:
        made.paste((0, 10, shade), box)
    return png_of(made)


@pytest.mark.usefixtures("package")
async def test_faces_are_swapped_with_the_embedding_of_the_source(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    engine = loaded(weights(tmp_path / "weights", *FILES), blobs)
    request = SwapFaces(
        model="inswapper",
        source_face=await stored(blobs, image((5, 5, 25, 25), shade=210), mime="image/png"),
        target=await stored(blobs, image((10, 10, 30, 30), (60, 10, 100, 50)), mime="image/png"),
        target_type="image",
    )
    for faces, count in (("all", 2), ("largest", 1)):
        asked = request.model_copy(update={"faces": faces})
        result = [event async for event in engine.swap_faces(asked)][-1]
        assert isinstance(result, SwappedFaces)
        assert (result.faces_swapped, result.warnings) == (count, ())
        made = np.asarray(Image.open(io.BytesIO(await content(blobs, result.media))))
        assert (made[11:50, 61:99] == (0, 10, 210)).all()
        assert (made[11:29, 11:29] == (0, 10, 210 if count == 2 else 255)).all()
        assert (made[52:, :] == (90, 80, 70)).all()
    nobody = request.model_copy(update={"source_face": await stored(blobs, image())})
    with pytest.raises(InvalidRequest) as caught:
        [event async for event in engine.swap_faces(nobody)]
    assert caught.value.param == "source_face"
    await engine.close()
    await engine.close()


@pytest.mark.usefixtures("package")
async def test_faces_are_cut_out(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = loaded(weights(tmp_path / "weights", *FILES), blobs)
    made = await stored(blobs, image((60, 20, 80, 40)), mime="image/png")
    request = ExtractImages(model="inswapper", what="faces", images=(made,), count=1)
    made = await engine.extract_images(request)
    assert Image.open(io.BytesIO(await content(blobs, made.images[0]))).size == (36, 36)


@pytest.mark.usefixtures("package")
def test_the_missing_weights_are_named(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    for number, (names, missing) in enumerate(
        (
            ((), "has no 'inswapper_128.onnx'"),
            (FILES[:1], "no detection model"),
            (FILES[:2], "no recognition model"),
        )
    ):
        with pytest.raises(BackendUnavailable, match=missing):
            loaded(weights(tmp_path / str(number), *names), blobs)
    with pytest.raises(BackendUnavailable, match="set its source"):
        loaded(None, blobs)


def test_without_the_package_the_remedy_is_named(
    tmp_path: Path, blobs: FsspecBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "insightface", None)
    with pytest.raises(BackendUnavailable, match="pip install --no-deps insightface"):
        loaded(weights(tmp_path / "weights", *FILES), blobs)
