"""What interpolation by RIFE costs next to the bare network, whose frames OpenCV reads and ffmpeg
encodes. From file to file, in turn, in one thread.

    python benchmarks/interpolation.py --weights .data/models/Practical-RIFE-… [--rounds 5]
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from results import machine, save_as
from torch.nn import functional
from video import ENCODING, FFMPEG, NO_BLOB, Arm, as_table, ffmpeg, measured, never

from deployments.torch_device import device_of
from deployments.video.frame_interpolation import interpolated, video_source
from deployments.video.rife_checkpoint import loaded_network, weights_file
from deployments.video.rife_motion import RifeFinder
from deployments.video.rife_network import RifeNetwork, warped
from serve_app.core.config import Model
from serve_app.core.options.video import RifeOptions
from serve_app.core.video.interpolation import InterpolateVideo

SIZE, FPS = (640, 360), 8
FRAMES = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={FPS}:duration=1"


def main() -> None:
    """Measure in turn, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = _network(arguments.weights)
    arm = Arm(
        "interpolation by RIFE",
        lambda source, target: interpolate_alone(network, source, target),
        lambda source, target: interpolate_here(network, source, target),
    )
    with tempfile.TemporaryDirectory(prefix="bench-rife-") as name:
        source = Path(name) / "source.mp4"
        ffmpeg("-f", "lavfi", "-i", FRAMES, *ENCODING, "-pix_fmt", "yuv420p", source)
        figures = {arm.name: measured(arm, source, Path(name), arguments.rounds)}
    print(as_table(figures))
    print(save_as("interpolation", machine() | {"video": FRAMES}, {"seconds": figures}))


def _network(path: Path) -> RifeNetwork:
    model = Model(id="rife", source=str(path))
    device = device_of(RifeOptions(device="cpu"))
    file = weights_file(model, path)
    return loaded_network(model, file, device=device, dtype=torch.float32, divisor=1)


def interpolate_alone(network: RifeNetwork, source: Path, target: Path) -> None:
    """In RGB; each frame's features are made once."""
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", str(2 * FPS)]
    command = [FFMPEG, "-v", "error", "-y", *raw, "-i", "pipe:0", *ENCODING]
    command += ["-pix_fmt", "yuv420p", str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        with torch.inference_mode():
            for frame in _doubled(network, source):
                encoder.stdin.write(np.ascontiguousarray(frame).data)
        encoder.stdin.close()
    assert encoder.returncode == 0


def _doubled(network: RifeNetwork, source: Path) -> Iterator[Any]:
    """Every frame, and one between it and the next; the last one twice."""
    capture = cv2.VideoCapture(str(source))
    held: Any = None
    before: Any = None
    while (read := capture.read())[0]:
        frame = read[1]
        seen = network.seen(_shown(frame, network.layout.multiple_px))
        if held is not None:
            yield held
            flow, mask = network(before, seen, 0.5)
            first = warped(before[:, :3], flow[:, :2])
            second = warped(seen[:, :3], flow[:, 2:])
            mixed = torch.lerp(second, first, mask)[0, :, : SIZE[1], : SIZE[0]]
            yield (mixed.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
        held, before = frame, seen
    yield held
    yield held


def _shown(frame: Any, multiple: int) -> torch.Tensor:
    image = torch.from_numpy(frame[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    edges = (0, -SIZE[0] % multiple, 0, -SIZE[1] % multiple)
    return functional.pad(image, edges, mode="replicate")


def interpolate_here(network: RifeNetwork, source: Path, target: Path) -> None:
    """As the server does it."""
    request = InterpolateVideo(model="rife", video=NO_BLOB)
    video = video_source(source, request.max_duration_s)
    for _ in interpolated(video, target, request, RifeFinder(network), never):
        pass


if __name__ == "__main__":
    main()
