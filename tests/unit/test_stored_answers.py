"""Jobs of earlier builds are answered as these did: `stored_answers.json` has the rows of some and
the bodies that were answered for them.
"""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from serve_app.api.json_answer import json_pieces
from serve_app.api.served_files import ServedFiles
from serve_app.api.v1.dialect import V1
from serve_app.api.v1.jobs.job_object import job_object
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.jobs import Job, JobProgress
from serve_app.core.operation import OPERATIONS
from serve_app.core.operations import Unreadable, read_operation, read_result

CASES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("stored_answers.json").read_text()
)
FILES = {b"image": "image/png", b"audio": "audio/wav", b"video": "video/mp4", b"WEBVTT": "text/vtt"}
PNG = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
TRANSCRIPTION = "audio.transcription"
FOREIGN = {
    "response_format": "png",
    "encoding_format": ["float"],
    "top_n": "all",
    "format": None,
    "segment_granularity": 7,
    "trained_engine": {"name": "demucs"},
    "warnings": 5,
    "is_item": "perhaps",
    "send_images": True,
    "alwayson_scripts": {},
}


def named(case: dict[str, Any]) -> str:
    return f"{case['operation']} {json.dumps(case['output'])}"


async def once(data: bytes) -> AsyncGenerator[bytes]:
    yield data


async def shown(case: dict[str, Any], folder: Path, *, is_listed: bool = False) -> str:
    """The result as the Job object has it, as text."""
    blobs = FsspecBlobStore(folder)
    for data, mime in FILES.items():
        await blobs.write(once(data), mime=mime)
    files = ServedFiles("https://poly.example", blobs)
    written = json_pieces(await job_object(to_job(case), V1, files, is_listed=is_listed))
    return json.dumps(json.loads(b"".join([piece async for piece in written]))["result"])


def to_job(case: dict[str, Any]) -> Job:
    name = case["operation"]
    result = read_result(name, case["result"])
    assert not isinstance(result, Unreadable)
    return Job(
        id="job-7",
        number=7,
        operation_name=name,
        operation=read_operation(name, case["request"]),
        output=case["output"],
        owner="api",
        ref_id=None,
        tag=None,
        model=None,
        status="succeeded",
        created_at=100.0,
        started_at=101.0,
        finished_at=102.5,
        revision=3,
        position=None,
        progress=JobProgress(),
        stages=(),
        warnings=(),
        result=result,
        files={PNG: "kept.png"},
        failure=None,
        callback_url=None,
    )


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_a_stored_job_is_answered_as_it_was(case: dict[str, Any], tmp_path: Path) -> None:
    # As text, which has the order of the keys too.
    assert await shown(case, tmp_path) == json.dumps(case["body"])


INNER = {
    "audio.diarization",
    "audio.voices",
    "image.extraction",
    "media.assemble",
    "media.burn-subtitles",
    "media.extract-audio",
    "media.replace-audio",
    "video.rendering",
    "video.stereo",
}
"""What only other operations ask for; no client can."""
NEVER_JOBS = {"tokenize", "detokenize", "render-prompt", "read-prompt-format"}
"""Answered at once, by dialects that have a route for them."""


def test_every_operation_has_an_answer() -> None:
    assert {case["operation"] for case in CASES} == set(OPERATIONS) - INNER - NEVER_JOBS


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_the_output_of_another_dialect_is_not_read(
    case: dict[str, Any], tmp_path: Path
) -> None:
    plain = await shown(case | {"output": {}}, tmp_path)
    assert await shown(case | {"output": FOREIGN}, tmp_path) == plain


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_a_job_is_shown_though_its_request_cannot_be_read(
    case: dict[str, Any], tmp_path: Path
) -> None:
    """Files are shown all the same. An answer that says what was asked for is left out."""
    needs_request = case["operation"] in {"chat", "complete", "embed", "rerank", TRANSCRIPTION}
    body = await shown(case | {"request": {"another": "version"}}, tmp_path)
    assert body == json.dumps(None if needs_request else case["body"])


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_a_list_has_files_by_url(case: dict[str, Any], tmp_path: Path) -> None:
    text = await shown(case, tmp_path, is_listed=True)
    assert '"b64_' not in text
    assert "base64," not in text
