"""Frames put between frames by RIFE: networks whose answers are known, and videos.

Tiny networks with random weights know nothing of motion; those here either know that nothing moves
or what moves how far, so that the frame between is known to the level.
"""

import math
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from deployments.video.flow_planes import FlowFinder
from deployments.video.frame_interpolation import planes_of
from deployments.video.motion import Planes
from deployments.video.rife_checkpoint import loaded_network, weights_file
from deployments.video.rife_interpolation import RifeInterpolation
from deployments.video.rife_motion import RifeFinder, RifeMotion, colour
from deployments.video.rife_network import RifeNetwork
from deployments.video.video_decoding import BT709, Colours
from deployments.video.video_encoding import studio_frame
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.video import RifeOptions
from serve_app.core.video.interpolation import InterpolatedVideo, InterpolateVideo
from tests.details import DETAILED, likeness_db
from tests.engine import tiny_rife
from tests.engine.tiny_rife import KINDS, Kind, State
from tests.engine.tiny_vision import last, stored
from tests.images import png
from tests.material import clip, tone
from tests.videos import Pixels, audio_packets, check_playable, decoded, landscape, write_video
from tests.weights import weights as packaged

MODEL = Model(id="rife", source="rife")
CPU = torch.device("cpu")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
RIGHT, DOWN = 8, 16


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads wait longer for each other than such small networks take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def network(
    folder: Path, state: State, *, divisor: int = 1, dtype: torch.dtype = torch.float32
) -> RifeNetwork:
    file = tiny_rife.save_rife(folder, state) / "flownet.pkl"
    return loaded_network(MODEL, file, device=CPU, dtype=dtype, divisor=divisor)


def motion(network: RifeNetwork, first: Planes, second: Planes) -> RifeMotion:
    return RifeFinder(network).motion(first, second, BT709)


def engine(folder: Path, state: State, blobs: FsspecBlobStore) -> RifeInterpolation:
    path = tiny_rife.save_rife(folder / "weights", state)
    return RifeInterpolation(RifeOptions(), MODEL, path=path, blobs=blobs)


def planes(pixels: Pixels) -> Planes:
    return planes_of(studio_frame(pixels))


def window(wide: Planes, left: int, top: int, width: int, height: int) -> Planes:
    """A part of a wide image, from even places."""
    half = np.s_[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
    return Planes(wide.y[top : top + height, left : left + width], wide.u[half], wide.v[half])


def inside(planes: Planes, margin: int) -> list[Any]:
    """Away from the borders, where what moves in is not known. With a sign, to subtract."""
    margins = (margin, margin // 2, margin // 2)
    pairs = zip(planes, margins, strict=True)
    return [plane[part:-part, part:-part].astype(int) for plane, part in pairs]


def test_published_sizes_are_read_from_shapes(tmp_path: Path) -> None:
    for kind in KINDS.values():
        layout = network(tmp_path, tiny_rife.random_state(kind)).layout
        assert len(layout.widths) == len(layout.scales) == kind.blocks
        assert layout.widths[-1] == kind.last_width
        assert (layout.hints, layout.groups) == (kind.hints, kind.groups)
        assert (layout.is_residual, layout.has_slopes) == (kind.is_residual, kind.has_slopes)
        assert (layout.head.names if layout.head else ()) == kind.head
        assert layout.multiple_px == kind.multiple_px, kind.name
    assert layout.scales == (16, 8, 4, 2, 1)
    lite = network(tmp_path, tiny_rife.random_state(KINDS["4.25.lite"])).layout
    assert lite.scales == (32, 16, 8, 4, 1)


@EVERY_KIND
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_what_moves_is_on_its_way(tmp_path: Path, kind: Kind, quarters: int) -> None:
    wide = planes(landscape(240, 240, seed=3))
    first, truth, second = (
        window(wide, 40 - RIGHT * part // 4, 40 - DOWN * part // 4, 140, 90)
        for part in (0, quarters, 4)
    )
    state = tiny_rife.moving_state(kind, right_px=RIGHT, down_px=DOWN)
    found = motion(network(tmp_path, state), first, second).at(quarters / 4)
    assert [plane.dtype for plane in found] == [np.uint8] * 3
    assert [plane.shape for plane in found] == [plane.shape for plane in truth]
    for seen, known in zip(inside(found, 20), inside(truth, 20), strict=True):
        assert np.array_equal(seen, known)


@EVERY_KIND
def test_a_still_network_mixes_as_its_mask_says(tmp_path: Path, kind: Kind) -> None:
    first, second = (planes(landscape(70, 50, seed=seed)) for seed in (1, 2))
    found = motion(network(tmp_path, tiny_rife.still_state(kind, mask=0.4)), first, second).at(0.3)
    # Kinds without a head add up what their blocks say.
    logit = 0.4 if kind.head else 0.4 * kind.blocks
    share = 1 / (1 + math.exp(-logit))
    for seen, a, b in zip(found, first, second, strict=True):
        assert np.abs(seen - (share * a + (1 - share) * b)).max() < 0.51


@EVERY_KIND
def test_what_stands_still_stays(tmp_path: Path, kind: Kind) -> None:
    image = planes(landscape(66, 46))
    found = motion(network(tmp_path, tiny_rife.still_state(kind)), image, image).at(0.5)
    for seen, known in zip(found, image, strict=True):
        assert np.array_equal(seen, known)


def test_near_the_given_frames_it_is_as_they_are(tmp_path: Path) -> None:
    wide = planes(landscape(240, 160, seed=3))
    first, second = (window(wide, left, 20, 140, 90) for left in (40, 40 - RIGHT))
    state = tiny_rife.moving_state(KINDS["4.25"], right_px=RIGHT)
    way = motion(network(tmp_path, state), first, second)
    for share, given in ((0.001, first), (0.999, second)):
        for seen, known in zip(inside(way.at(share), 20), inside(given, 20), strict=True):
            assert np.abs(seen - known).max() <= 1


@pytest.mark.parametrize("size", [(2, 2), (16, 2), (2, 90), (34, 130), (64, 64), (258, 130)])
def test_all_sizes_keep_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    first, second = (planes(landscape(width, height, seed=seed)) for seed in (1, 2))
    for kind in ("4.0", "4.6", "4.25"):
        found = motion(network(tmp_path, tiny_rife.random_state(KINDS[kind])), first, second).at(
            0.5
        )
        assert found.y.shape == (height, width)
        assert found.u.shape == found.v.shape == (height // 2, width // 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["4.0", "4.6", "4.25"])
def test_halves_place_pixels_as_exactly(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    """Flow is added up, and images are carried, in float32."""
    wide = planes(landscape(700, 120, seed=3))
    first, truth, second = (window(wide, left, 20, 600, 80) for left in (40, 36, 32))
    state = tiny_rife.moving_state(KINDS[name], right_px=8)
    way = motion(network(tmp_path, state, dtype=dtype), first, second)
    for seen, known in zip(inside(way.at(0.5), 20), inside(truth, 20), strict=True):
        assert np.array_equal(seen, known)


@pytest.mark.parametrize("divisor", [2, 4])
def test_motion_looked_for_at_smaller_images(tmp_path: Path, divisor: int) -> None:
    kind = KINDS["4.25"]
    wide = planes(landscape(300, 300, seed=3))
    first, truth, second = (window(wide, left, 40, 180, 180) for left in (40, 36, 32))
    state = tiny_rife.moving_state(kind, right_px=8, divisor=divisor)
    whole = network(tmp_path, state, divisor=divisor)
    assert whole.layout.multiple_px == divisor * kind.multiple_px
    seen, known = (inside(p, 40) for p in (motion(whole, first, second).at(0.5), truth))
    for plane, right in zip(seen, known, strict=True):
        assert np.abs(plane - right).max() <= 1


@pytest.mark.parametrize(("step_px", "flow_px"), [(31, 31), (40, 80)])
def test_the_oldest_kind_looks_again_for_far_motion(
    tmp_path: Path, step_px: int, flow_px: int
) -> None:
    """Its second block says the same each time, of images of half the size the second time."""
    kind = KINDS["4.0"]
    state = tiny_rife.still_state(kind)
    _, bias = tiny_rife.last_layer(kind, 1)
    state[bias][:4] = step_px / 8
    whole = network(tmp_path, state)
    image = whole.seen(torch.rand(1, 3, 64, 64))
    flow, _ = whole(image, image, 0.5)
    assert torch.allclose(flow, torch.full_like(flow, flow_px))


@pytest.mark.parametrize("matrix", [1, 5, 9])
def test_the_network_is_shown_true_colours(matrix: int) -> None:
    corner = np.linspace(20, 235, 64)
    image = np.stack(np.broadcast_arrays(corner[None, :], corner[:, None], 128), axis=2)
    pixels = image.astype(np.uint8)
    colours = Colours(matrix=matrix)
    shown = colour(planes_of(studio_frame(pixels, colours)), colours, CPU)
    assert shown.shape == (1, 3, 64, 64)
    found = shown[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - pixels)[2:-2, 2:-2].max() < 5


async def interpolated(
    rife: RifeInterpolation, blobs: FsspecBlobStore, path: Path | None = None, **fields: Any
) -> tuple[InterpolatedVideo, bytes]:
    if path is not None:
        fields["video"] = await blobs.write_file(path)
    result = await last(rife.interpolate(InterpolateVideo(model="rife", **fields)))
    assert isinstance(result, InterpolatedVideo)
    data = b"".join([chunk async for chunk in blobs.read(result.video)])
    return result, data


async def test_a_whole_video_moves_evenly(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    wide = landscape(320, 128, seed=3)
    shots = [wide[:, 120 - 12 * number : 120 - 12 * number + 160] for number in range(5)]
    source = write_video(tmp_path / "video.mp4", shots)
    rife = engine(tmp_path, tiny_rife.moving_state(KINDS["4.6"], right_px=12), blobs)
    result, data = await interpolated(rife, blobs, source, fps_multiplier=3)
    check_playable(data, size=(160, 128), fps=30, frames=15)
    assert result.engine == "rife"
    middle = np.s_[16:-16, 16:-16]
    for number, frame in enumerate(decoded(data)[:13]):
        truth = wide[:, 120 - 4 * number : 280 - 4 * number].astype(int)
        # Two encodings come on top; what is shown four pixels away is much farther off.
        assert np.abs(frame - truth)[middle].mean() < 7, number
        assert np.abs(frame[:, :-4] - truth[:, 4:])[middle].mean() > 14


@pytest.mark.parametrize(
    ("fields", "fps", "frames"),
    [
        ({}, 20, 20),
        ({"fps_multiplier": 8}, 80, 80),
        ({"output_fps": 25.0}, 25, 25),
        ({"output_fps": 5.0}, 5, 5),
    ],
)
async def test_rates_length_and_audio(
    blobs: FsspecBlobStore, tmp_path: Path, fields: dict[str, Any], fps: float, frames: int
) -> None:
    source = clip(tmp_path / "video.mp4", 1.0, audio=tone(1.0))
    rife = engine(tmp_path, tiny_rife.still_state(KINDS["4.7"]), blobs)
    result, data = await interpolated(rife, blobs, source, **fields)
    check_playable(data, size=(64, 48), fps=fps, frames=frames)
    assert result.duration_s == pytest.approx(1.0, abs=0.02)
    assert audio_packets(data) == audio_packets(source.read_bytes())


async def test_shots_are_not_blended_into_each_other(
    blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    shots = [landscape(320, 240, seed=1)] * 2 + [landscape(320, 240, seed=2)] * 2
    source = write_video(tmp_path / "video.mp4", shots)
    rife = engine(tmp_path, tiny_rife.still_state(KINDS["4.6"]), blobs)
    _, data = await interpolated(rife, blobs, source, fps_multiplier=3)
    for number, frame in enumerate(decoded(data)):
        shot = shots[0] if number < 5 else shots[2]
        assert np.abs(frame.astype(int) - shot).mean() < 6, number


async def test_from_an_image_to_another(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    ends = {
        "init_image": await stored(blobs, png("black", (63, 47))),
        "end_image": await stored(blobs, png("white", (63, 47))),
    }
    rife = engine(tmp_path, tiny_rife.random_state(KINDS["4.6"]), blobs)
    _, data = await interpolated(rife, blobs, fps_multiplier=4, **ends)
    check_playable(data, size=(64, 48), fps=8, frames=8)
    shades = [float(frame.mean()) for frame in decoded(data)]
    assert shades == sorted(shades)
    assert shades[0] < 5
    assert min(shades[4:]) > 250


async def test_progress_in_frames_cancelling_and_bad_media(
    blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    rife = engine(tmp_path, tiny_rife.still_state(KINDS["4.25"]), blobs)
    source = write_video(tmp_path / "video.mp4", [landscape(64, 48, seed=n) for n in range(20)])
    request = InterpolateVideo(model="rife", video=await blobs.write_file(source), fps_multiplier=8)
    async with aclosing(rife.interpolate(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.phase, first.current, first.total) == ("interpolate", 1, 160)
    with pytest.raises(InvalidRequest) as caught:
        await interpolated(rife, blobs, video=await stored(blobs, b"no video"))
    assert caught.value.param == "video"
    with pytest.raises(InvalidRequest) as caught:
        await interpolated(rife, blobs, init_image=await stored(blobs, png()))
    assert caught.value.param == "end_image"
    result, _ = await interpolated(rife, blobs, clip(tmp_path / "next.mp4", 0.5))
    assert result.num_frames == 10


async def test_an_unloaded_engine_says_so(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    rife = engine(tmp_path, tiny_rife.still_state(KINDS["4.6"]), blobs)
    await rife.close()
    await rife.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        rife.interpolate(InterpolateVideo(model="rife"))


SCENES = [("leaves", "rings", -8, 24), ("town", "leaves", 12, -20), ("page", "leaves", 6, 32)]
"""A backdrop and a disc before it, and by how many pixels each moves to the right."""


def moved(at: float, back: str, front: str, back_px: int, front_px: int) -> Planes:
    """The scene at a share of the way; the disc moves down half as far."""
    wide = Image.fromarray(np.asarray(DETAILED[back]())).resize((512, 384))
    left = 100 - round(back_px * at)
    image = wide.crop((left, 60, left + 256, 252))
    disc, mask = DETAILED[front]().resize((80, 80)), Image.new("L", (80, 80))
    ImageDraw.Draw(mask).ellipse((0, 0, 79, 79), fill=255)
    image.paste(disc, (80 + round(front_px * at), 50 + round(front_px * at / 2)), mask)
    return planes(np.asarray(image))


def test_trained_weights_know_motion_better_than_optical_flow() -> None:
    file = weights_file(MODEL, packaged("rife-4.25"))
    trained = loaded_network(MODEL, file, device=CPU, dtype=torch.float32, divisor=1)
    for scene in SCENES:
        first, truth, second = (moved(at, *scene) for at in (0, 0.5, 1))
        by_rife, by_flow = (
            likeness_db(
                Image.fromarray(finder.motion(first, second, BT709).at(0.5).y),
                Image.fromarray(truth.y),
            )
            for finder in (RifeFinder(trained), FlowFinder())
        )
        assert by_rife > by_flow + 3, scene
