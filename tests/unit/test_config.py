"""Wrong configurations say where and what is allowed."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import ValidationError

from serve_app.catalog.catalog import CatalogEntry
from serve_app.catalog.video_facts import video_facts
from serve_app.core.config import AppConfig, Defaults
from serve_app.core.tasks import Task
from serve_app.family.checkpoint_facts import CheckpointFacts
from serve_app.launch.config_file import error_lines


def content(**changes: Any) -> dict[str, Any]:
    """A small valid configuration, with top-level keys replaced."""
    return {
        "families": [
            {
                "name": "text",
                "options": {"engine": "fake", "task": "chat"},
                "models": [{"id": "Echo", "aliases": ["parrot"]}],
            },
            {"name": "media", "options": {"engine": "fake", "task": "media"}},
        ]
    } | changes


def family(**changes: Any) -> dict[str, Any]:
    base = {"name": "other", "options": {"engine": "fake", "task": "chat"}}
    return base | {"models": [{"id": "other"}]} | changes


def test_every_task_whose_families_have_models_can_have_a_default() -> None:
    assert set(Defaults.known_keys()) == set(get_args(Task)) - {"media"}


def lines_of(value: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        AppConfig.model_validate(value)
    return list(error_lines(caught.value))


def with_family(**changes: Any) -> dict[str, Any]:
    return content(families=[*content()["families"], family(**changes)])


def test_the_small_configuration_is_valid() -> None:
    config = AppConfig.model_validate(content(defaults={"chat": "parrot"}))
    assert config.names_for("chat") == ["Echo", "parrot"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (
            with_family(models=[{"id": "parrot"}]),
            "families.2.models.0: model id or alias 'parrot' is taken by families.0.models.0",
        ),
        (
            content(defaults={"chat": "gpt"}),
            "defaults.chat: no such model 'gpt'; chat models: 'Echo', 'parrot'",
        ),
        (
            content(defaults={"speech": "x"}),
            "defaults.speech: no such model 'x'; speech models: none is configured",
        ),
        (with_family(name="text"), "families.2.name: 'text' is taken by families.0"),
        (with_family(name="ingress"), "families.2.name: 'ingress' is taken by the ingress"),
        (
            content(pipelines=[{"name": "video-dub", "media": "cinema"}]),
            "pipelines.0.media: no such family 'cinema'; media families: 'media'",
        ),
        (
            with_family(placement={"gpu": 1}),
            "families.2.placement: unknown key 'gpu'; keys: gpus, cpus, min_replicas, "
            "max_replicas, max_ongoing_requests, max_loaded_models, idle_unload_s",
        ),
        (
            content(family=[]),
            "unknown key 'family'; keys: server, auth, limits, storage, jobs, archive, artifacts, "
            "metrics, sdapi, usage, defaults, ingress, upstreams, families, pipelines, routes",
        ),
        (
            with_family(placement={"gpus": -0.5}),
            "families.2.placement.gpus: input should be greater than or equal to 0",
        ),
        (
            with_family(placement={"min_replicas": 3, "max_replicas": 2}),
            "families.2.placement: max_replicas 2 is below min_replicas 3",
        ),
        (
            with_family(options={"engine": "espeak", "task": "chat"}),
            "families.2.options.task: input should be 'speech'",
        ),
        (
            with_family(models=[]),
            "families.2: family 'other' (chat) needs at least one model",
        ),
        (
            with_family(models=[{"id": "white space"}]),
            "families.2.models.0.id: string should match pattern '^[^\\s?#%]+$'",
        ),
    ],
)
def test_wrong_configurations(value: object, line: str) -> None:
    assert lines_of(value) == [line]


def test_an_unknown_engine_lists_the_known_ones() -> None:
    (line,) = lines_of(with_family(options={"engine": "tgi"}))
    assert line.startswith("families.2.options: input tag 'tgi'")
    for name in ("fake", "transformers", "vllm", "faster_whisper", "cosine", "espeak", "av"):
        assert f"'{name}'" in line


GRID = {
    "family": "x",
    "modes": ["t2v"],
    "native_fps": 8,
    "frame_base": 1,
    "frame_step": 4,
    "min_frames": 5,
    "max_frames": None,
    "max_frames_per_render": 9,
    "segment_frames": 9,
    "cond_frames": 0,
    "side_multiple": 16,
    "continuation": "none",
}


def test_only_video_models_state_what_videos_they_make() -> None:
    videos = family(
        options={"engine": "fake", "task": "video"}, models=[{"id": "f", "video": GRID}]
    )
    config = AppConfig.model_validate(content(families=[*content()["families"], videos]))
    facts = config.families[-1].models[0].video
    assert facts is not None
    assert (facts.modes, facts.frame_step) == (("t2v",), 4)
    [line] = lines_of(with_family(models=[{"id": "other", "video": GRID}]))
    assert line.endswith("family 'other' (chat) does not generate videos")


@pytest.mark.parametrize(
    "file", ["serve_config.yaml", "serve_config.local.yaml", "serve_config.hub.yaml"]
)
async def test_every_video_model_of_the_shipped_configurations_lists_its_frame_grid(
    file: str, tmp_path: Path
) -> None:
    path = Path(__file__).parents[2] / file
    arguments = yaml.safe_load(path.read_text())["applications"][0]["args"]
    config = AppConfig.model_validate(arguments)
    videos = [f for f in config.families if f.options.task == "video"]
    assert videos
    checkpoints = CheckpointFacts(tmp_path)
    for f in videos:
        for model in f.models:
            facts = await video_facts(CatalogEntry(model, f, None), None, checkpoints)
            assert facts is not None, model.id
