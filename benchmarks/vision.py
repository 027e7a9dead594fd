"""What images cost through HTTP, next to the bare library called in this process: upscaling,
depth and segmentation with checkpoints of random weights, from a file's bytes to a file's bytes, in
turn.

    python benchmarks/vision.py [--calls 15] [--arm depth]
"""

import argparse
import asyncio
import base64
import http.client
import io
import json
import secrets
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from load_generator import Load, Target
from PIL import Image
from results import machine, save_as
from sam_library import BOX, open_sam, save_sam
from server_process import free_port, server, working_folder, write_config
from span_library import open_span, save_span

PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
WARM_UP = 2
LOAD_TIMEOUT_S = 90.0
SIDE_PX = 128
"""Of the images: one tile for the upscaler."""

PNG_RUNS = 3
"""The server's own, so that both sides do the same work."""

Bare = Callable[[bytes], bytes]
"""An image's file in, the result's file out, by nothing but the library."""


@dataclass(frozen=True)
class Arm:
    """One comparison: how its checkpoint is made and opened, and how the server is asked."""

    name: str
    options: dict[str, Any]
    save: Callable[[Path], None] | None
    open: Callable[[Path], Bare]
    path: str
    fields: dict[str, Any]

    def family(self, folder: Path) -> dict[str, object]:
        """Its place in the configuration."""
        model = {"id": self.name} | ({"source": str(folder)} if self.save else {})
        return {
            "name": self.name,
            "options": self.options,
            "models": [model],
            "placement": {"min_replicas": 1, "max_ongoing_requests": 2},
        }


def main() -> None:
    """Make checkpoints, start the server, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--arm", choices=[arm.name for arm in ARMS], action="append")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arms = [arm for arm in ARMS if not arguments.arm or arm.name in arguments.arm]
    with working_folder() as folder:
        for arm in arms:
            if arm.save is not None:
                arm.save(folder / arm.name)
        families = [arm.family(folder / arm.name) for arm in arms]
        config = str(write_config(folder, more_families=families))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            rows = {
                arm.name: measured(arm, process.target, folder, arguments.calls) for arm in arms
            }
    for name, row in rows.items():
        cells = "   ".join(f"{figure} {value:8.1f}" for figure, value in row.items())
        print(f"{name:20} {cells}")
    about = machine() | {"calls": arguments.calls}
    print(f"machine: {json.dumps(about)}\nwritten: {save_as('vision', about, {'rows': rows})}")


def measured(arm: Arm, target: Target, folder: Path, calls: int) -> dict[str, float]:
    """Medians in milliseconds. Every call has an image that nobody has seen before."""
    bare = arm.open(folder / arm.name)
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    alone, served = [], []
    for number in range(WARM_UP + calls):
        image = scene(number)
        begun = time.perf_counter()
        wanted = bare(image)
        between = time.perf_counter()
        found = over_http(connection, target.token, arm, image)
        ended = time.perf_counter()
        _check_alike(arm, wanted, found)
        if number >= WARM_UP:
            alone.append(1000 * (between - begun))
            served.append(1000 * (ended - between))
    pairs = zip(alone, served, strict=True)
    return {
        "library ms": statistics.median(alone),
        "HTTP ms": statistics.median(served),
        "adds ms": statistics.median(after - before for before, after in pairs),
    }


def over_http(connection: http.client.HTTPConnection, token: str, arm: Arm, image: bytes) -> bytes:
    """The result's file; waits while the model is loaded."""
    body = {"image": base64.b64encode(image).decode(), "model": arm.name} | arm.fields
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    while True:
        content = json.dumps(body | {"response_format": "b64_json"})
        connection.request("POST", arm.path, content, headers)
        answer = connection.getresponse()
        data = json.loads(answer.read())
        if answer.status == 200:
            return base64.b64decode(data["data"][0]["b64_json"])
        if answer.status != 503 or time.monotonic() > deadline:
            raise SystemExit(f"{arm.name} failed with {answer.status}: {data}")
        time.sleep(0.5)


def scene(number: int) -> bytes:
    """A soft image as PNG."""
    rough = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return as_png(Image.fromarray(rough).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


def as_png(image: Image.Image) -> bytes:
    """A file."""
    target = io.BytesIO()
    image.save(target, "PNG", compress_type=PNG_RUNS)
    return target.getvalue()


def save_swin2sr(folder: Path) -> None:
    """A light Swin2SR that doubles."""
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution, Swin2SRImageProcessorPil

    config = Swin2SRConfig(
        embed_dim=48, depths=[4, 4], num_heads=[4, 4], upsampler="pixelshuffledirect"
    )
    Swin2SRForImageSuperResolution(config).save_pretrained(folder)
    Swin2SRImageProcessorPil().save_pretrained(folder)


def open_swin2sr(folder: Path) -> Bare:
    """As the model's page shows it, but for the padding that a whole number of windows spares."""
    import torch
    from transformers import Swin2SRForImageSuperResolution

    torch.set_num_threads(1)
    network = Swin2SRForImageSuperResolution.from_pretrained(folder).eval()

    def run(data: bytes) -> bytes:
        pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB")))
        with torch.inference_mode():
            made = network(pixels.permute(2, 0, 1)[None].float() / 255).reconstruction[0]
        made = (made.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
        return as_png(Image.fromarray(made.numpy()))

    return run


def save_depth(folder: Path) -> None:
    """Depth Anything of the small size, for images of 252 pixels."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessorPil,
    )

    backbone = Dinov2Config(
        image_size=518,
        patch_size=14,
        hidden_size=384,
        num_attention_heads=6,
        out_indices=[3, 6, 9, 12],
        reshape_hidden_states=False,
    )
    DepthAnythingForDepthEstimation(DepthAnythingConfig(backbone_config=backbone)).save_pretrained(
        folder
    )
    size = {"height": 252, "width": 252}
    DPTImageProcessorPil(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(
        folder
    )


def open_depth(folder: Path) -> Bare:
    """As the model's page shows it."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    torch.set_num_threads(1)
    processor = AutoImageProcessor.from_pretrained(folder)
    network = AutoModelForDepthEstimation.from_pretrained(folder).eval()

    def run(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        with torch.inference_mode():
            outputs = network(**processor(images=image, return_tensors="pt"))
        size = [(image.height, image.width)]
        (found,) = processor.post_process_depth_estimation(outputs, target_sizes=size)
        depth = found["predicted_depth"]
        near = 255 * (depth - depth.min()) / (depth.max() - depth.min())
        return as_png(Image.fromarray(near.round().to(torch.uint8).numpy()))

    return run


def open_lanczos(_: Path) -> Bare:
    """Pillow."""

    def run(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        size = (2 * image.width, 2 * image.height)
        return as_png(image.resize(size, Image.Resampling.LANCZOS))

    return run


def _check_alike(arm: Arm, wanted: bytes, found: bytes) -> None:
    ours, theirs = (np.asarray(Image.open(io.BytesIO(data)), int) for data in (found, wanted))
    # Where a mask's logit is about 0, the last bit of a float decides.
    if ours.shape != theirs.shape or np.mean(np.abs(ours - theirs) > 2) > 0.001:
        raise SystemExit(f"{arm.name}: the server's image is not the library's")


ONE_THREAD = {"device": "cpu", "threads": 1}
UPSCALE = "/v1/images/upscale"
ARMS = (
    Arm("ncnn", {"engine": "ncnn", "threads": 1}, save_span, open_span, UPSCALE, {"scale": 2}),
    Arm(
        "swin2sr",
        {"engine": "swin2sr"} | ONE_THREAD,
        save_swin2sr,
        open_swin2sr,
        UPSCALE,
        {"scale": 2},
    ),
    Arm(
        "depth",
        {"engine": "transformers", "task": "depth"} | ONE_THREAD,
        save_depth,
        open_depth,
        "/v1/images/depth",
        {},
    ),
    Arm(
        "sam",
        {"engine": "transformers", "task": "segmentation"} | ONE_THREAD,
        save_sam,
        open_sam,
        "/v1/images/segment",
        {"boxes": [BOX]},
    ),
    Arm(
        "lanczos",
        {"engine": "lanczos"},
        None,
        open_lanczos,
        UPSCALE,
        {"scale": 2, "allow_resize": True},
    ),
)

if __name__ == "__main__":
    main()
