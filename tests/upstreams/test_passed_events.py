"""Blocks of whole events out of a body as it comes."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from serve_app.core.errors import UpstreamError
from serve_app.core.text.chat import Usage
from serve_app.core.upstreams.exchange import UpstreamTarget
from serve_app.core.upstreams.provider import Provider
from serve_app.upstreams.openai_form.exchange import OpenAIExchange
from serve_app.upstreams.openai_form.passed_events import PassedEvents
from serve_app.upstreams.server_sent_events import MOST_BYTES

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(content: Any, end: str = "\n\n") -> bytes:
    """One event."""
    return f"data: {json.dumps(content)}{end}".encode()


def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
    """A chunk as OpenAI sends it when it was asked for the usage."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason, "own": [1, 2]}
    return {"id": "x", "choices": [choice], "usage": None}


BODY = b"".join(
    [
        event(chunk("one")),
        event(chunk(" two"), "\r\n\r\n"),
        event(chunk("", "stop")),
    ]
)
LAST = event({"id": "x", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"


def passing(*, wants_usage: bool = False) -> PassedEvents:
    """Of a provider with a key."""
    provider = Provider(
        id="1",
        type="openai-compat",
        name="stub",
        display_name="",
        icon="",
        enabled=True,
        base_url="http://127.0.0.1/v1",
        api_keys=(),
        settings=None,
        revision=1,
        created_at=0,
        updated_at=0,
    )
    target = UpstreamTarget(provider, "m", SecretStr("sk-secret-of-the-stub"))
    return PassedEvents(OpenAIExchange(target, None), wants_usage=wants_usage)  # type: ignore[arg-type]


def passed(events: PassedEvents, pieces: list[bytes]) -> list[bytes]:
    """The blocks."""
    found = [block for piece in pieces if (block := events.feed(piece))]
    return [*found, *([rest] if (rest := events.finish()) else [])]


@pytest.mark.parametrize("size", range(1, 40))
def test_events_pass_unchanged_and_whole_wherever_the_body_is_cut(size: int) -> None:
    """And the usage, which the client has not asked for, is read and kept back."""
    body = BODY + LAST + DONE
    events = passing()
    blocks = passed(events, [body[at : at + size] for at in range(0, len(body), size)])
    assert b"".join(blocks) == BODY + DONE
    assert all(block.endswith((b"\n\n", b"\r\n\r\n")) for block in blocks)
    assert events.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert events.has_ended


def test_usage_that_was_asked_for_passes() -> None:
    events = passing(wants_usage=True)
    assert b"".join(passed(events, [BODY + LAST + DONE])) == BODY + LAST + DONE
    assert events.usage is not None


def test_usage_beside_a_choice_passes() -> None:
    """Some servers say it with the last choice."""
    body = event(chunk("all", "stop") | {"usage": USAGE})
    events = passing()
    assert passed(events, [body + DONE]) == [body + DONE]
    assert events.usage == Usage(prompt_tokens=3, completion_tokens=2)


def test_of_an_event_that_is_cut_off_nothing_passes() -> None:
    events = passing()
    assert passed(events, [event(chunk("one")), event(chunk(" two"))[:-9]]) == [event(chunk("one"))]
    assert not events.has_ended


def test_a_last_event_without_an_empty_line_passes() -> None:
    events = passing()
    assert b"".join(passed(events, [BODY, b"data: [DONE]"])) == BODY + DONE
    assert events.has_ended


def test_comments_do_not_pass() -> None:
    """Simple clients cannot skip them; until an event has passed, another provider may be tried."""
    one, two = event(chunk("one")), event(chunk("two"), "\r\n\r\n")
    events = passing()
    assert events.feed(b": PROCESSING\n\n") == b""
    assert events.feed(b": PROCESSING\n\n" + one) == one
    assert events.feed(b": PROCESSING\n\n:\r\n\r\n") == b""
    assert events.feed(b": a\n" + two + b": b\n\n" + one) == two + one


FAILED = {"error": {"message": "overloaded: sk-secret-of-the-stub", "code": 502}}


def test_an_error_before_anything_has_passed_is_raised_without_the_key() -> None:
    """Also where events of the same piece come before it: another provider may be tried."""
    with pytest.raises(UpstreamError, match="provider 'stub' failed: overloaded") as raised:
        passing().feed(event(chunk("one")) + event(FAILED))
    assert "sk-secret" not in raised.value.message


def test_of_a_stream_that_has_begun_everything_before_an_error_passes() -> None:
    events = passing()
    assert events.feed(event(chunk("one"))) == event(chunk("one"))
    assert events.failure is None
    assert events.feed(event(chunk(" two")) + event(FAILED) + DONE) == event(chunk(" two"))
    assert events.failure is not None
    assert "overloaded" in events.failure.message


def test_text_that_speaks_of_usage_and_errors_passes() -> None:
    """What is no member of that name at the top of an event is nothing to read."""
    said = event(chunk('say "usage": {"error": "none"}'))
    nested = event({"choices": [{"delta": {"error": "a field"}}]})
    assert passed(passing(), [said + nested + DONE]) == [said + nested + DONE]


def test_an_event_without_end_is_refused() -> None:
    events = passing()
    for _ in range(MOST_BYTES // 2**20):
        assert events.feed(b"x" * 2**20) == b""
    with pytest.raises(UpstreamError, match="has an event of more than"):
        events.feed(b"x")
