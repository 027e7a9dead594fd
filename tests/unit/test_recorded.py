"""Records of stages: what goes in comes out, and what another version wrote is known as that."""

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from pipelines.story_script import Script
from pipelines.utterances import Utterance
from pipelines.video_speech import SpokenLine
from serve_app.core.audio.diarization import Diarization
from serve_app.core.audio.speech import Speak, Voices
from serve_app.core.audio.transcription import Transcript
from serve_app.core.errors import AppError, QueueFull, Unavailable
from serve_app.core.image.face_swap import ExtractedImages
from serve_app.core.image.images import Images, Size
from serve_app.core.jobs import failure_of
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import OPERATIONS
from serve_app.core.stages import AnotherVersion
from serve_app.core.text.embeddings import Embeddings
from serve_app.core.video.assembly import AssembledVideo
from serve_app.core.video.finishing import PlacedLine
from serve_app.core.video.processing import (
    ExtractedAudio,
    PlacedAudio,
)
from serve_app.core.video.story import Scene
from serve_app.jobs.former_records import former_record
from serve_app.jobs.recorded import (
    FORMER_NAMES,
    read_record,
    write_failure,
    write_result,
)

BLOB = Blob(sha256="ab" * 32, mime="audio/wav", size=3)
LINE = PlacedLine(speech=Speak(model="m", text="Hi", format="wav"), field="tts_text")
STORED = json.loads(Path(__file__).with_name("stored_answers.json").read_text())
NAMES = {case["kind"] for case in STORED} | {
    *("AssembledVideo", "ExtractedAudio", "GeneratedVideo", "Notice", "PlacedAudio"),
    "PlainPrompt",
    *("PromptFormat", "SaidText", "Script", "SpokenLine", "StereoVideo", "SubtitledVideo"),
    *("Tokens", "ToldStory", "Utterance", "VideoWithAudio"),
}
"""Every name under which a message is recorded: the `kind` of each operation's result, and those of
messages that only stages have. One is renamed by a row in FORMER_NAMES and stays here.
"""


def read(record: str) -> Any:
    return read_record(record, stage="s")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        7,
        (["a", "\ud800\0"], []),
        (PlacedAudio(audio=BLOB, start_s=0.5), (Notice(text="warning"),)),
        (["a"], [Notice(field="size", text="{!r} is odd", values=("7",))]),
        (Utterance(audio=BLOB, duration_s=0.1),),
        (SpokenLine(line=LINE, audio=BLOB, start_s=0, end_s=1),),
        Script(scenes=(Scene(line="a", image="b"),), warnings=(Notice(field="story", text="w"),)),
        Transcript(text="a", language=None, duration_s=1, segments=()),
        Embeddings(vectors=(b"\xff\xfe\xfb",), dimensions=1, prompt_tokens=1),
        ExtractedAudio(audio=BLOB),
        BLOB,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_comes_out_as_it_went_in(value: object) -> None:
    record = write_result(value)
    assert "serve_app" not in record
    assert "pipelines" not in record
    assert read(record) == value
    assert type(read(record)) is type(value)


def test_a_failure_comes_out_as_its_kind() -> None:
    failure = QueueFull("full", provider="media", param="n")
    with pytest.raises(QueueFull) as caught:
        read(write_failure(failure_of(failure)))
    assert caught.value.__dict__ == failure.__dict__


def test_every_name_that_was_recorded_is_known() -> None:
    """A message that is renamed is read under its former name too."""
    # What is asked for within a stage is recorded as a part of what the stage returns.
    results = {kind.result for kind in OPERATIONS.values()} - {Diarization, ExtractedImages, Voices}
    kinds = (*results, Notice, PlacedAudio, Script, SpokenLine, Utterance)
    now = {kind.__name__ for kind in kinds}
    assert now <= NAMES, "new results are to be listed"
    assert {FORMER_NAMES.get(name, name) for name in NAMES} <= now


@pytest.mark.parametrize("value", [{"a": 1}, b"bytes", object(), {1}, Path("p")])
def test_what_has_no_form_is_refused_when_it_is_written(value: object) -> None:
    with pytest.raises(TypeError, match="which cannot be recorded"):
        write_result((value,))


def test_a_name_that_two_messages_have_is_refused_when_it_is_written() -> None:
    class Twin(Message):
        pass

    class Other(Message):
        pass

    Other.__name__ = "Twin"
    for twin in (Twin(), Other()):
        with pytest.raises(TypeError, match="Twin, as another message is called too"):
            write_result(twin)


@pytest.mark.parametrize(
    "record",
    [
        "no json",
        "[]",
        "{}",
        '{"form": 2, "result": null}',
        '{"form": 1}',
        '{"form": 1, "result": {"message": "Blob", "version": 1}}',
        '{"form": 1, "result": {"message": "Blob", "version": 1, "content": {"sha": "a"}}}',
        '{"form": 1, "result": {"message": "Nobody", "version": 1, "content": {}}}',
        '{"form": 1, "failure": {"what": "a"}}',
    ],
)
def test_what_another_version_wrote_is_known(record: str) -> None:
    with pytest.raises(AnotherVersion) as caught:
        read(record)
    assert caught.value.message == (
        "stage 's' was recorded by another version of this server and cannot be read; "
        "send the job again"
    )


def test_a_message_of_another_version_is_known_though_its_fields_fit() -> None:
    record = json.loads(write_result(BLOB))
    record["result"]["version"] = 2
    with pytest.raises(AnotherVersion):
        read(json.dumps(record))


def test_a_message_is_read_under_its_former_names() -> None:
    video = AssembledVideo(
        video=BLOB,
        audio=None,
        size=Size(width=8, height=8),
        fps=8,
        num_frames=8,
        duration_s=1,
        starts_s=(0.0,),
    )
    record = json.loads(write_result(video))
    content = record["result"]["content"]
    content["film"], content["sound"] = content.pop("video"), content.pop("audio")
    record["result"]["message"] = "Film"
    assert read(json.dumps(record)) == video


PICKLED_FAILURE = (
    "gASVKAEAAAAAAACMGHNlcnZlX2FwcC5qb2JzLndvcmtmbG93c5SMClN0ZXBGYWlsZWSUk5SME3NlcnZl"
    "X2FwcC5jb3JlLmpvYnOUjAdGYWlsdXJllJOUKYGUfZQojAhfX2RpY3RfX5R9lCiMBGtpbmSUjAtVbmF2"
    "YWlsYWJsZZSMB21lc3NhZ2WUjBF0aGUgbWl4ZXIgaXMgZ29uZZSMBGNvZGWUjBNiYWNrZW5kX3VuYXZh"
    "aWxhYmxllIwFcGFyYW2UTowIcHJvdmlkZXKUjAVtZWRpYZR1jBJfX3B5ZGFudGljX2V4dHJhX1+UTowX"
    "X19weWRhbnRpY19maWVsZHNfc2V0X1+Uj5QoaAxoDmgRaAqQjBRfX3B5ZGFudGljX3ByaXZhdGVfX5RO"
    "dWKFlFKULg=="
)
"""Of an Unavailable, by the build 6db840e."""


def test_a_pickled_failure_is_read() -> None:
    with pytest.raises(Unavailable) as caught:
        read(former_record(None, PICKLED_FAILURE))
    assert caught.value.message == "the mixer is gone"
    assert (caught.value.code, caught.value.provider) == ("backend_unavailable", "media")


def pickled(value: object) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()


@pytest.mark.parametrize(
    "value", [None, (["a"], ["b"]), Images(images=()), Size(width=8, height=8)]
)
def test_a_pickled_result_is_read(value: object) -> None:
    assert read(former_record(pickled(value), None)) == value


class Bomb:
    """What a pickle can do to who loads it."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._target,)


def test_a_pickle_of_anything_else_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    for value in (Bomb(target), [Images(images=()), Bomb(target)]):
        with pytest.raises(AnotherVersion):
            read(former_record(pickled(value), None))
    assert not target.exists()


@pytest.mark.parametrize("output", ["", "gAR9lC4=", "not base64", pickled({"a": 1})])
def test_a_pickle_that_cannot_be_read_is_known_as_another_versions(output: str) -> None:
    with pytest.raises((AnotherVersion, AppError)):
        read(former_record(output, None))


def _all(kind: type[Message]) -> list[type[Message]]:
    return [one for known in kind.__subclasses__() for one in (known, *_all(known))]
