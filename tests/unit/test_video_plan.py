"""How long a video gets and in how many renderings, for models of every kind."""

from typing import Any

import pytest

from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.image.images import Size
from serve_app.core.video.generation import GenerateVideo, VideoFacts
from serve_app.core.video.plan import legal_frames, planned, renderings, rounded_size
from tests.notices import texts_of


def facts(**changes: Any) -> VideoFacts:
    values = {
        "family": "wan",
        "modes": ("t2v", "i2v", "v2v", "interp", "extend"),
        "native_fps": 16,
        "frame_base": 1,
        "frame_step": 4,
        "min_frames": 5,
        "max_frames": 400,
        "max_frames_per_render": 81,
        "segment_frames": 81,
        "cond_frames": 1,
        "side_multiple": 16,
        "continuation": "chained",
    }
    return VideoFacts.model_validate(values | changes)


def request(**fields: Any) -> GenerateVideo:
    return GenerateVideo.model_validate({"model": "m", "seed": 1, "mode": "t2v"} | fields)


@pytest.mark.parametrize(
    ("asked", "legal"), [(1, 5), (5, 5), (6, 5), (7, 9), (8, 9), (80, 81), (81, 81), (83, 85)]
)
def test_the_nearest_legal_number_of_frames(asked: int, legal: int) -> None:
    assert legal_frames(asked, facts()) == legal


@pytest.mark.parametrize(
    ("asked", "rounded"),
    [((512, 512), (512, 512)), ((519, 521), (512, 528)), ((520, 1), (528, 16))],
)
def test_sides_go_to_the_nearest_multiple(asked: tuple[int, int], rounded: tuple[int, int]) -> None:
    size = rounded_size(Size(width=asked[0], height=asked[1]), 16)
    assert (size.width, size.height) == rounded


@pytest.mark.parametrize(
    ("fields", "frames", "render"),
    [
        ({}, 81, 81),
        ({"num_frames": 33}, 33, 33),
        # More than one rendering has are chained ones.
        ({"num_frames": 161}, 161, 81),
        ({"num_frames": 33, "num_segments": 3}, 97, 33),
        ({"num_segments": 2}, 161, 81),
        ({"duration_s": 2.0}, 32, 33),
        ({"duration_s": 10.0}, 160, 81),
        ({"duration_s": 10.0, "num_frames": 33}, 160, 33),
        ({"duration_s": 4.0, "num_segments": 2}, 64, 33),
        ({"duration_s": 2.0, "fps": 8.0}, 16, 17),
        ({"duration_s": 0.001}, 1, 5),
    ],
)
def test_lengths(fields: dict[str, Any], frames: int, render: int) -> None:
    plan = planned(request(**fields), facts())
    assert (plan.num_frames, plan.render_frames) == (frames, render)
    assert (plan.fps, plan.overlap) == (fields.get("fps", 16.0), 1)


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({"num_frames": 33, "num_segments": 3}, [(33, 0), (33, 1), (33, 1)]),
        ({"duration_s": 10.0}, [(81, 0), (81, 1)]),
        ({"mode": "extend", "num_frames": 80}, [(81, 1), (5, 1)]),
        ({"mode": "extend", "num_frames": 33}, [(37, 1)]),
        ({"num_frames": 5}, [(5, 0)]),
    ],
)
def test_renderings_add_up(fields: dict[str, Any], sizes: list[tuple[int, int]]) -> None:
    plan = planned(request(**fields), facts())
    is_continued = plan_mode(fields) == "extend"
    assert renderings(plan, facts(), is_continued=is_continued) == sizes
    assert sum(count - known for count, known in sizes) >= plan.num_frames


def plan_mode(fields: dict[str, Any]) -> str:
    return str(fields.get("mode", "t2v"))


def test_frames_to_go_on_from_are_on_the_grid() -> None:
    native = facts(cond_frames=9, frame_step=8, continuation="native")
    overlaps = [planned(request(num_cond_frames=n), native).overlap for n in (1, 5, 8, 9)]
    assert overlaps == [1, 1, 1, 9]
    assert planned(request(), native).overlap == 9


def test_every_combination_ends() -> None:
    """However few new frames a rendering brings, there is one more of them each time."""
    for cond in (1, 5, 9):
        for frames in range(1, 81, 7):
            for segments in (None, 1, 2, 5):
                known = facts(cond_frames=9, frame_step=4, continuation="native", max_frames=None)
                asked = request(num_frames=frames, num_segments=segments, num_cond_frames=cond)
                plan = planned(asked, known)
                sizes = renderings(plan, known, is_continued=True)
                assert all(count > known for count, known in sizes)
                assert sum(count - known for count, known in sizes) >= plan.num_frames


@pytest.mark.parametrize(
    ("fields", "changes", "error", "param"),
    [
        ({"mode": "ti2v"}, {}, UnsupportedCapability, "mode"),
        ({"num_frames": 82}, {"continuation": "none"}, InvalidRequest, None),
        ({"num_frames": 90}, {"continuation": "none"}, UnsupportedCapability, "num_frames"),
        ({"num_segments": 2}, {"continuation": "none"}, UnsupportedCapability, "num_segments"),
        ({"duration_s": 9.0}, {"continuation": "none"}, UnsupportedCapability, "duration_s"),
        ({"num_frames": 500}, {}, InvalidRequest, "num_frames"),
        ({"num_segments": 9}, {}, InvalidRequest, "num_segments"),
        ({"duration_s": 60.0}, {}, InvalidRequest, "duration_s"),
        ({"num_frames": 85, "num_segments": 2}, {}, InvalidRequest, "num_frames"),
        ({"num_cond_frames": 2}, {}, UnsupportedCapability, "num_cond_frames"),
        ({"mode": "interp", "num_frames": 161}, {}, InvalidRequest, "num_frames"),
    ],
)
def test_what_a_model_cannot_do(
    fields: dict[str, Any],
    changes: dict[str, Any],
    error: type[InvalidRequest],
    param: str | None,
) -> None:
    if param is None:
        # 82 is rounded to 81, which it can make.
        assert planned(request(**fields), facts(**changes)).num_frames == 81
        return
    with pytest.raises(error) as caught:
        planned(request(**fields), facts(**changes))
    assert caught.value.param == param


def test_a_video_made_anew_may_be_longer_than_a_rendering() -> None:
    known = facts(continuation="none", cond_frames=0)
    plan = planned(request(mode="v2v", duration_s=20.0), known)
    assert (plan.num_frames, plan.overlap) == (320, 0)


def test_rounding_is_told() -> None:
    plan = planned(request(size=Size(width=500, height=512), num_frames=80), facts())
    assert texts_of(plan.warnings) == ("size: rounded to 496x512", "num_frames: rounded to 81")
    assert planned(request(num_frames=81), facts()).warnings == ()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"num_cond_frames": 9, "mode": "extend"}, ()),
        ({"num_cond_frames": 9, "duration_s": 10.0}, ()),
        ({"num_cond_frames": 8, "duration_s": 10.0}, ("num_cond_frames: rounded to 1",)),
        (
            {"num_cond_frames": 9, "num_frames": 17},
            ("num_cond_frames: has no effect, because no video is continued",),
        ),
        (
            {"num_cond_frames": 9, "mode": "v2v", "duration_s": 10.0},
            ("num_cond_frames: has no effect, because no video is continued",),
        ),
    ],
)
def test_frames_to_go_on_from_are_told_where_they_are_others(
    fields: dict[str, Any], told: tuple[str, ...]
) -> None:
    native = facts(cond_frames=9, frame_step=8, continuation="native")
    assert texts_of(planned(request(**fields), native).warnings) == told
