"""What the types say of operations is what engines, streams and answers do."""

import inspect
from collections.abc import AsyncIterator
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from serve_app.api.answers import Answer, Finished
from serve_app.api.dialects import DIALECTS
from serve_app.core.audio.diarization import Diarization, Diarize
from serve_app.core.audio.speech import Speak, SpokenAudio
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.image.images import Images, Inpaint
from serve_app.core.message import Message, Progress
from serve_app.core.operation import OPERATIONS, Operation
from serve_app.core.text.chat import Chat, CollectedText
from serve_app.core.video.subtitling import Subtitles, SubtitleVideo
from serve_app.family.engines import make_engine

OF_TASKS = [kind for kind in OPERATIONS.values() if kind.task is not None]
ANSWERS = [answer for each in DIALECTS for name in OPERATIONS if (answer := each.answers.of(name))]


def parameters_of(kind: type[Operation[Any]]) -> tuple[Any, Any]:
    """What it is said to result in, and what its stream yields."""
    for base in kind.__mro__:
        given = getattr(base, "__pydantic_generic_metadata__", {}).get("args")
        if given and issubclass(base, Operation):
            return (given[0], given[1]) if len(given) > 1 else (given[0], Progress | given[0])
    raise AssertionError(kind)


def members(hint: Any) -> set[Any]:
    """The classes of a union."""
    return {*get_args(hint)} if get_args(hint) else {hint}


def verb_of(kind: type[Operation[Any]]) -> Any:
    """The method in the Protocol of its task."""
    module = inspect.getmodule(make_engine)
    assert module is not None
    protocol = get_type_hints(getattr(module, str(kind.task)).engine)["return"]
    return getattr(protocol, kind.verb)


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (Diarize, Diarization),
        (Transcribe, Transcript),
        (Chat, CollectedText),
        (Speak, SpokenAudio),
        (Inpaint, Images),
        (SubtitleVideo, Subtitles),
    ],
)
def test_an_operation_results_in_its_type_parameter(
    kind: type[Operation[Any, Any]], result: type[Message]
) -> None:
    assert kind.result is result
    assert kind.result_type() is result


def test_an_operation_without_a_result_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match=r"write Operation\[Result\]"):
        type("Unfinished", (Operation,), {"name": "unfinished", "__module__": __name__})
    assert "unfinished" not in OPERATIONS


@pytest.mark.parametrize("kind", OF_TASKS, ids=lambda kind: kind.name)
def test_the_verb_of_an_engine_yields_what_the_operation_says(kind: type[Operation[Any]]) -> None:
    hints = get_type_hints(verb_of(kind))
    result, items = parameters_of(kind)
    (request,) = [name for name in hints if name != "return"]
    assert kind in members(hints[request]) or issubclass(kind, hints[request])
    if kind.answers_once:
        assert hints["return"] is result
    else:
        assert get_origin(hints["return"]) is AsyncIterator
        assert members(get_args(hints["return"])[0]) == members(items)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.operation.name)
def test_an_answer_is_written_from_what_the_operation_results_in(
    answer: Answer[Any, Any, Any],
) -> None:
    finished = get_type_hints(answer.write)["finished"]
    assert get_origin(finished) is Finished
    operation, result, output = get_args(finished)
    assert issubclass(answer.operation, operation)
    assert answer.operation.result in members(result) or issubclass(answer.operation.result, result)
    assert issubclass(answer.output, output)
