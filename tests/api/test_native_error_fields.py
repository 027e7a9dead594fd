"""An error of a native route names a field of its own body, or none."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from serve_app.api.dialect import JOB_FIELDS
from serve_app.api.job_body import JobBody
from serve_app.api.v1.dialect import V1
from serve_app.api.v1.sent_fields import BODIES
from serve_app.core.error_fields import root_of
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.upscaling import UpscaleImage, UpscaleVideo
from serve_app.core.operation import OPERATIONS
from serve_app.core.operations import core_fields
from tests.api.conftest import MakeContext, client_of
from tests.api.test_nulls import bodies, schema_of
from tests.material import clip
from tests.sdapi import base64_png

UNLISTED = {"audio.clone": {"input"}, "audio.transcription": {"file"}}
"""A part of a form, which no model lists; and what the route of its own for cloning renames."""
NO_OPERATION = {"GenerateBody", "ExtractBody", "VoiceBody", "VoiceExtractBody", "ProfileBody"}
ITEMS = {"SpeechBatchBody"}


def sent(operation: str) -> set[str]:
    """What every body for the operation has."""
    schemas = [schema_of(body)["properties"] for body in BODIES[operation]]
    return set.intersection(*map(set, schemas)) | UNLISTED.get(operation, set())


@pytest.mark.parametrize("operation", BODIES)
def test_every_field_that_is_named_can_be_sent(operation: str) -> None:
    """Also of what is raised by other operations, by which this one is done."""
    own = sent(operation)
    for field in core_fields() | JOB_FIELDS:
        for path in ("", "[2]", ".part[0]"):
            name = V1.own_field(field + path, operation)
            assert name is None or root_of(name) in own | JOB_FIELDS, field


@pytest.mark.parametrize("operation", BODIES)
def test_what_is_named_once_stays_named(operation: str) -> None:
    """The failure of a job is read more than once."""
    for field in OPERATIONS[operation].known_fields():
        name = V1.own_field(field, operation)
        assert V1.own_field(name, operation) == name, field


def test_every_body_is_of_an_operation() -> None:
    listed = {body for each in BODIES.values() for body in each}
    found = {model for _, path, model in bodies() if path.startswith("/v1/")}
    other = {model.__name__ for model in found - listed if issubclass(model, JobBody)}
    assert other <= NO_OPERATION | ITEMS


class Refusing:
    """Upscaling that refuses a field which the caller of another operation has not."""

    async def upscale(self, request: UpscaleImage) -> AsyncGenerator[Any]:
        raise InvalidRequest("must be 2", remedy="send 2", param="scale")
        yield

    async def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[Any]:
        raise InvalidRequest("must be 2", remedy="send 2", param="scale")
        yield


async def test_the_field_of_an_inner_operation_is_not_shown(
    make_context: MakeContext, tmp_path: Any
) -> None:
    async with client_of(make_context(runs={"upscaling": Refusing()})) as client:
        video = clip(tmp_path / "a.mp4", 0.2).read_bytes()
        sent_video = {"video": base64.b64encode(video).decode()}
        answer = await client.post("/v1/video/upscale", json=sent_video)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, None)
        answer = await client.post("/v1/images/upscale", json={"image": base64_png()})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "scale")
