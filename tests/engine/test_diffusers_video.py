"""Wan, LTX, CogVideoX and Stable Video Diffusion by their real classes, with random weights."""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.video.diffusers_video import DiffusersVideo
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import (
    AppError,
    BackendUnavailable,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedCapability,
)
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.options.video import DiffusersVideoOptions
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo
from tests.engine.tiny_video import (
    SVD_FRAMES,
    save_cogvideox,
    save_ltx,
    save_svd,
    save_wan,
    save_wan_image,
)
from tests.images import png
from tests.material import clip, content, stored, tone
from tests.notices import texts_of
from tests.videos import check_playable, decoded, landscape, look, write_video

CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "wan": save_wan,
    "wan-image": save_wan_image,
    "ltx": save_ltx,
    "ltx-condition": partial(save_ltx, has_conditions=True),
    "cogvideox": save_cogvideox,
    "cogvideox-image": partial(save_cogvideox, is_for_images=True),
    "svd": save_svd,
}
MODES = {
    "wan": {"t2v", "v2v"},
    "wan-image": {"i2v", "ti2v", "extend", "interp"},
    "ltx": {"t2v", "i2v", "ti2v", "extend"},
    "ltx-condition": {"t2v", "i2v", "ti2v", "extend", "interp", "v2v"},
    "cogvideox": {"t2v", "v2v"},
    "cogvideox-image": {"i2v", "ti2v", "extend"},
    "svd": {"i2v", "extend"},
}
STEPS = 2
SIDE = 64


class Studio:
    """A loaded engine, and what it is given."""

    def __init__(self, name: str, checkpoint: Path, folder: Path, **options: Any) -> None:
        self.name = name
        self.folder = folder
        self.blobs = FsspecBlobStore(folder / "blobs")
        self.engine = DiffusersVideo(
            DiffusersVideoOptions(threads=1, **options),
            Model(id=name),
            path=checkpoint,
            blobs=self.blobs,
        )

    async def image(self, color: str = "red") -> Blob:
        return await stored(self.blobs, png(color, size=(100, 80)), mime="image/png")

    async def video(self, count: int = 9, fps: int = 8) -> Blob:
        frames = [landscape(SIDE, SIDE, seed=seed) for seed in range(count)]
        path = write_video(self.folder / f"source-{count}-{fps}.mp4", frames, fps=fps)
        return await stored(self.blobs, path.read_bytes(), mime="video/mp4")

    def request(self, **fields: Any) -> GenerateVideo:
        usual = {
            "model": self.name,
            "seed": 1,
            "steps": STEPS,
            "size": Size(width=SIDE, height=SIDE),
        }
        return GenerateVideo.model_validate(usual | fields)

    async def made(self, **fields: Any) -> tuple[GeneratedVideo, bytes, list[Progress]]:
        events = self.engine.generate_video(self.request(**fields))
        *progress, last = [event async for event in events]
        assert isinstance(last, GeneratedVideo)
        told = [event for event in progress if isinstance(event, Progress)]
        return last, await content(self.blobs, last.video), told

    async def material(self, mode: str) -> dict[str, Any]:
        """What a mode needs."""
        match mode:
            case "i2v" | "ti2v":
                media: dict[str, Any] = {"image": await self.image()}
            case "interp":
                media = {"image": await self.image(), "end_image": await self.image("blue")}
            case "v2v" | "extend":
                media = {"video": await self.video(), "fps": 8.0}
            case _:
                media = {}
        words = {} if mode == "i2v" else {"prompt": "a red boat"}
        return {"mode": mode} | media | words


MakeStudio = Callable[..., Studio]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("video-checkpoints")
    return {name: save(folder / name) for name, save in CHECKPOINTS.items()}


@pytest.fixture
def studio(checkpoints: dict[str, Path], tmp_path: Path) -> MakeStudio:
    return lambda name, **options: Studio(name, checkpoints[name], tmp_path, **options)


@pytest.mark.parametrize("name", CHECKPOINTS)
async def test_every_mode_of_every_family(studio: MakeStudio, name: str) -> None:
    made_by = studio(name)
    facts = made_by.engine.video_facts
    assert set(facts.modes) == MODES[name]
    count = facts.frame_base + facts.frame_step
    for mode in facts.modes:
        material = await made_by.material(mode)
        fps = material.get("fps", facts.native_fps)
        made, data, progress = await made_by.made(num_frames=count, **material)
        total = count + 9 if mode == "extend" else count
        check_playable(data, size=(SIDE, SIDE), fps=fps, frames=total)
        assert (made.num_frames, made.fps, made.seed) == (total, fps, 1)
        assert [event.current for event in progress] == sorted(e.current for e in progress)
        last = progress[-1]
        assert (last.phase, last.current, last.total) == ("denoise", last.total, last.total)
        said = {text.partition(":")[0] for text in texts_of(made.warnings)}
        assert said == ({"prompt"} if name == "svd" and mode == "extend" else set())
    await made_by.engine.close()
    await made_by.engine.close()


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("wan", ("wan", 16.0, 1, 4, 81, 16, "none")),
        ("wan-image", ("wan", 16.0, 1, 4, 81, 16, "chained")),
        ("ltx", ("ltx", 25.0, 1, 8, 257, 32, "chained")),
        ("ltx-condition", ("ltx", 25.0, 1, 8, 257, 32, "native")),
        ("cogvideox", ("cogvideox", 8.0, 1, 4, 9, 16, "none")),
        ("cogvideox-image", ("cogvideox", 8.0, 1, 4, 9, 16, "chained")),
        ("svd", ("svd", 7.0, 1, 1, SVD_FRAMES, 4, "chained")),
    ],
)
async def test_the_facts_come_from_the_checkpoint(
    studio: MakeStudio, name: str, facts: tuple[Any, ...]
) -> None:
    found = studio(name).engine.video_facts
    assert facts == (
        found.family,
        found.native_fps,
        found.frame_base,
        found.frame_step,
        found.max_frames_per_render,
        found.side_multiple,
        found.continuation,
    )


async def test_a_seed_means_the_same_video(studio: MakeStudio) -> None:
    made_by = studio("ltx")
    fields: dict[str, Any] = {"prompt": "a red boat", "num_frames": 9}
    first, _, _ = await made_by.made(**fields)
    again, _, _ = await made_by.made(**fields)
    other, _, _ = await made_by.made(**fields, seed=2)
    assert first.video == again.video
    assert first.video != other.video


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a green house"},
        {"steps": 3},
        {"guidance_scale": 9.0},
        {"negative_prompt": "a boat"},
        {"camera_motion": "zoom-in"},
        {"quality": "best", "steps": None},
    ],
)
async def test_every_setting_changes_the_video(studio: MakeStudio, change: dict[str, Any]) -> None:
    made_by = studio("wan", steps=2)
    fields: dict[str, Any] = {"prompt": "a red boat", "num_frames": 5}
    plain, _, _ = await made_by.made(**fields)
    changed, _, _ = await made_by.made(**fields | change)
    assert plain.video != changed.video
    said = [text.partition(":")[0] for text in texts_of(changed.warnings)]
    assert said == (["camera_motion"] if "camera_motion" in change else [])


async def test_long_videos_are_chained(studio: MakeStudio) -> None:
    made_by = studio("cogvideox-image")
    image = await made_by.image()
    fields: dict[str, Any] = {"mode": "ti2v", "image": image, "prompt": "a red boat"}
    made, data, progress = await made_by.made(**fields, num_frames=9, num_segments=3)
    check_playable(data, size=(SIDE, SIDE), fps=8, frames=25)
    assert progress[-1].total == 3 * STEPS
    assert made.warnings == ()
    made, data, progress = await made_by.made(**fields, duration_s=2.0)
    check_playable(data, size=(SIDE, SIDE), fps=8, frames=16)
    assert made.duration_s == 2.0
    assert progress[-1].total == 2 * STEPS


async def test_a_segment_goes_on_from_the_end_of_the_one_before(studio: MakeStudio) -> None:
    """What the pipeline is given is what it made last."""
    made_by = studio("svd")
    pipeline = made_by.engine._checkpoint.first  # type: ignore[union-attr]
    given: list[Any] = []
    encode = pipeline._encode_image

    def encode_image(image: Any, *arguments: Any) -> Any:
        given.append(np.asarray(image))
        return encode(image, *arguments)

    pipeline._encode_image = encode_image
    _, data, _ = await made_by.made(
        mode="i2v", image=await made_by.image(), num_frames=4, num_segments=2
    )
    frames = decoded(data)
    assert len(frames) == 7
    first, second = given
    assert np.abs(first - np.array([255, 0, 0])).max() == 0
    # Noise loses some of itself in the encoder, and is nearest to itself all the same.
    assert np.argmin([np.abs(second.astype(int) - frame).mean() for frame in frames]) == 3


async def test_native_models_go_on_from_several_frames(studio: MakeStudio) -> None:
    made_by = studio("ltx-condition")
    assert made_by.engine.video_facts.cond_frames == 9
    video = await made_by.video(count=12)
    made, data, progress = await made_by.made(
        mode="extend", video=video, fps=8.0, prompt="a boat", num_frames=9, num_cond_frames=9
    )
    # Nine frames that are known and eight or more new ones fit into one rendering of 25.
    assert progress[-1].total == STEPS
    check_playable(data, size=(SIDE, SIDE), fps=8, frames=21)
    images = [await made_by.image() for _ in range(9)]
    made, _, _ = await made_by.made(
        mode="i2v", cond_frames=tuple(images), num_frames=17, prompt="a boat"
    )
    assert made.num_frames == 17


async def test_strength_says_how_much_is_made_anew(studio: MakeStudio) -> None:
    made_by = studio("wan")
    video = await made_by.video()
    fields: dict[str, Any] = {"mode": "v2v", "video": video, "fps": 8.0, "prompt": "a boat"}
    _, kept, _ = await made_by.made(**fields, strength=0.0)
    _, changed, _ = await made_by.made(**fields, strength=1.0)
    source = [landscape(SIDE, SIDE, seed=seed).astype(int) for seed in range(9)]
    assert np.abs(np.stack(decoded(kept)) - source).mean() < 10
    assert np.abs(np.stack(decoded(changed)) - source).mean() > 30


async def test_videos_longer_than_a_rendering_are_made_anew_in_pieces(studio: MakeStudio) -> None:
    made_by = studio("cogvideox")
    made, data, progress = await made_by.made(
        mode="v2v", video=await made_by.video(count=20), fps=8.0, prompt="a boat"
    )
    check_playable(data, size=(SIDE, SIDE), fps=8, frames=20)
    assert progress[-1].total == 3 * STEPS
    assert made.num_frames == 20


async def test_audio_of_a_video_is_kept(studio: MakeStudio, tmp_path: Path) -> None:
    made_by = studio("wan")
    spoken = clip(tmp_path / "spoken.mp4", 1.0, audio=tone(1.0))
    video = await stored(made_by.blobs, spoken.read_bytes(), mime="video/mp4")
    _, data, _ = await made_by.made(mode="v2v", video=video, fps=5.0, prompt="a boat")
    found = look(data)
    assert found.frames == 5
    assert found.audio_codec == "aac"


async def test_sizes_and_lengths_are_rounded_and_it_is_said(studio: MakeStudio) -> None:
    made_by = studio("ltx")
    made, data, _ = await made_by.made(
        prompt="a boat", size=Size(width=70, height=50), num_frames=11
    )
    check_playable(data, size=(64, 64), fps=25, frames=9)
    assert texts_of(made.warnings) == ("size: rounded to 64x64", "num_frames: rounded to 9")


async def test_what_has_no_effect_is_said(studio: MakeStudio) -> None:
    wan = studio("wan")
    made, _, _ = await wan.made(
        prompt="a boat",
        negative_prompt="a red",
        guidance_scale=1.0,
        strength=0.5,
        offload="model",
        num_frames=5,
    )
    said = [text.partition(":")[0] for text in texts_of(made.warnings)]
    assert said == ["strength", "negative_prompt", "offloading has no effect without a GPU"]
    svd = studio("svd")
    made, _, _ = await svd.made(
        mode="i2v", image=await svd.image(), negative_prompt="a red", num_frames=3
    )
    assert [text.partition(":")[0] for text in texts_of(made.warnings)] == ["negative_prompt"]


async def test_a_still_of_the_prompt_is_animated(studio: MakeStudio) -> None:
    for name in ("cogvideox-image", "svd"):
        made_by = studio(name)
        made, _, _ = await made_by.made(
            mode="t2v", image=await made_by.image(), prompt="a boat", num_frames=5
        )
        assert (made.num_frames, made.warnings) == (5, ())


@pytest.mark.parametrize(
    ("name", "fields", "error", "param"),
    [
        ("wan", {"mode": "i2v"}, UnsupportedCapability, "mode"),
        ("svd", {"mode": "t2v", "prompt": "a boat"}, UnsupportedCapability, "mode"),
        ("wan-image", {"mode": "i2v"}, InvalidRequest, "image"),
        ("wan-image", {"mode": "interp"}, InvalidRequest, "end_image"),
        ("wan", {"mode": "v2v"}, InvalidRequest, "video"),
        ("wan", {"num_frames": 90}, UnsupportedCapability, "num_frames"),
        ("wan", {"duration_s": 60.0}, UnsupportedCapability, "duration_s"),
        ("wan", {"num_segments": 2}, UnsupportedCapability, "num_segments"),
        ("wan", {"num_cond_frames": 1}, UnsupportedCapability, "num_cond_frames"),
        ("svd", {"num_cond_frames": 2, "mode": "i2v"}, UnsupportedCapability, "num_cond_frames"),
        ("svd", {"mode": "i2v", "num_frames": 2000}, InvalidRequest, "num_frames"),
        ("svd", {"mode": "i2v", "num_segments": 2, "num_frames": 9}, InvalidRequest, "num_frames"),
        (
            "svd",
            {"mode": "i2v", "camera_motion": "zoom-in"},
            UnsupportedCapability,
            "camera_motion",
        ),
        (
            "wan-image",
            {"mode": "interp", "end_image": "an image", "num_frames": 161},
            InvalidRequest,
            "num_frames",
        ),
    ],
)
async def test_bad_requests_name_the_field(
    studio: MakeStudio, name: str, fields: dict[str, Any], error: type[AppError], param: str
) -> None:
    made_by = studio(name)
    needs_image = param != "image" and fields.get("mode") in ("i2v", "interp") and name != "wan"
    media = {"image": await made_by.image()} if needs_image else {}
    told = {n: await made_by.image() if v == "an image" else v for n, v in fields.items()}
    with pytest.raises(error) as caught:
        await made_by.made(**media, **told)
    assert caught.value.param == param
    said = (name, param, repr(fields.get("mode")))
    assert any(word in caught.value.message for word in said)


async def test_a_video_that_is_too_long(studio: MakeStudio) -> None:
    made_by = studio("wan", max_frames=81)
    with pytest.raises(PayloadTooLarge) as caught:
        await made_by.made(mode="v2v", video=await made_by.video(count=20, fps=1), prompt="a boat")
    assert caught.value.param == "video"


async def test_stopping_leaves_nothing_behind(
    studio: MakeStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = studio("ltx")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    request = made_by.request(prompt="a boat", num_frames=9, steps=150)
    events = made_by.engine.generate_video(request)
    async for event in events:
        if isinstance(event, Progress) and event.current == 3:
            break
    await events.aclose()
    assert list(folder.iterdir()) == []
    made, _, _ = await made_by.made(prompt="a boat", num_frames=9)
    alone, _, _ = await studio("ltx").made(prompt="a boat", num_frames=9)
    assert made.video == alone.video


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda path: (path / "model_index.json").unlink(), "cannot be loaded by diffusers"),
        (lambda path: _rename(path, "FluxPipeline"), "cannot be loaded by diffusers"),
        (
            lambda path: next((path / "transformer").glob("*.safetensors")).write_bytes(b"x"),
            "cannot be loaded by diffusers",
        ),
    ],
)
async def test_a_checkpoint_that_is_none(
    tmp_path: Path, breaks: Callable[[Path], object], said: str
) -> None:
    breaks(save_wan(tmp_path / "checkpoint"))
    with pytest.raises(BackendUnavailable, match=said) as caught:
        Studio("wan", tmp_path / "checkpoint", tmp_path)
    assert str(tmp_path) not in caught.value.message


def _rename(path: Path, name: str) -> None:
    index = json.loads((path / "model_index.json").read_text())
    (path / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))


async def test_offloading_needs_a_gpu(studio: MakeStudio) -> None:
    with pytest.raises(BackendUnavailable, match="needs a CUDA device"):
        studio("wan", offload="model")
