"""Server-sent events that are passed on as they are: whole ones, and of their contents no more is
read than has to be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from serve_app.core.errors import UpstreamError
from serve_app.core.text.chat import Usage
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange
from serve_app.upstreams.openai_form.text_events import DONE, usage_in
from serve_app.upstreams.server_sent_events import MOST_BYTES, EventReader

# Each begins with a word that is found much sooner than one of several.
USAGE = re.compile(rb'"usage"[ \t]*:[ \t]*\{')
ERROR = re.compile(rb'"error"[ \t]*:')
FINISHED = re.compile(rb'"finish_reason"[ \t]*:[ \t]*"')
DONE_LINE = re.compile(rb"^data:[ \t]*\[DONE\]", re.MULTILINE)
ENDS = (b"\n\n", b"\n\r\n")
LONGEST_END = 3
AFTER_END = re.compile(rb"(?<=\n\n)|(?<=\n\r\n)")


@dataclass
class PassedEvents:
    """Takes the pieces of a response's body and gives them back as blocks of whole events, so that
    a response that breaks off ends with an event. Usage that was asked for by this server alone is
    kept back.
    """

    exchange: OpenAIExchange
    wants_usage: bool
    usage: Usage | None = None
    has_ended: bool = False
    """Whether the stream has said that nothing follows."""
    failure: UpstreamError | None = None
    """What the stream has said that failed, after what was given back."""
    _rest: bytearray = field(default_factory=bytearray)
    _has_begun: bool = False

    def feed(self, piece: bytes) -> bytes:
        """What is complete with this piece, empty where nothing is. UpstreamError for an event that
        says that something failed, unless that is told in `failure`, and for one that is too large.
        """
        searched = max(0, len(self._rest) - LONGEST_END)
        self._rest += piece
        end = max(self._rest.rfind(mark, searched) + len(mark) for mark in ENDS)
        if end < LONGEST_END:
            if len(self._rest) > MOST_BYTES:
                raise self.exchange.unreadable(f"has an event of more than {MOST_BYTES} bytes")
            return b""
        block = bytes(self._rest[:end])
        del self._rest[:end]
        return self._passed(block)

    def finish(self) -> bytes:
        """What has no empty line behind it; some servers leave the last one out."""
        rest, self._rest = bytes(self._rest), bytearray()
        if not _says_end(rest):
            return b""
        return self._passed(rest.rstrip(b"\r\n") + b"\n\n")

    def _passed(self, block: bytes) -> bytes:
        if block.startswith(b":") or b"\n:" in block:
            block = b"".join(map(_without_comments, _events(block)))
        if _is_worth_reading(block):
            block = b"".join(self._read_until_failure(block))
        self.has_ended = self.has_ended or _says_end(block)
        # Empty lines are no beginning: another provider may be tried after them.
        self._has_begun = self._has_begun or b"data:" in block
        return block if self._has_begun else b""

    def _read_until_failure(self, block: bytes) -> Iterator[bytes]:
        """Before anything has passed, a failure is raised even where events come before it in the
        block: another provider may be tried.
        """
        for event in _events(block):
            try:
                yield self._read(event)
            except UpstreamError as error:
                if not self._has_begun:
                    raise
                self.failure = error
                return

    def _read(self, event: bytes) -> bytes:
        """The event, or nothing where it is kept back."""
        if not _is_worth_reading(event):
            return event
        for found in EventReader().feed(event):
            if found.data.strip() == DONE:
                continue
            content = self.exchange.object_in(found.data)
            self.usage = usage_in(content) or self.usage
            if not self.wants_usage and _is_usage_alone(content):
                return b""
        return event


def _is_worth_reading(block: bytes) -> bool:
    return USAGE.search(block) is not None or ERROR.search(block) is not None


def _says_end(block: bytes) -> bool:
    if b"[DONE]" in block and DONE_LINE.search(block):
        return True
    return FINISHED.search(block) is not None


def _events(block: bytes) -> list[bytes]:
    if b"\n\r\n" in block:
        return AFTER_END.split(block)
    *events, rest = block.split(b"\n\n")
    return [*(event + b"\n\n" for event in events), rest]


def _without_comments(event: bytes) -> bytes:
    """The event without the lines that keep a connection alive: simple clients cannot skip them."""
    lines = [line for line in event.splitlines(keepends=True) if not line.startswith(b":")]
    return b"".join(lines) if any(line.strip() for line in lines) else b""


def _is_usage_alone(content: Object) -> bool:
    return not content.get("choices") and isinstance(content.get("usage"), dict)
