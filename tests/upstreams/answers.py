"""What a stub of a provider says, whatever the form it says it in, and how it fails."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

FAREWELL = "That is all."
Mishap = Literal["stalled", "broken", "truncated", "wrong_type", "no_json", "error_in_stream"]


@dataclass(frozen=True)
class StubCall:
    """A tool that is called."""

    name: str = "weather"
    arguments: str = '{"city": "Graz"}'
    id: str = "call_1"


@dataclass(frozen=True)
class StubAnswer:
    """One answer. `pieces` are what a stream brings; the text is all of them. `pause_s` is between
    them, and `finish` is OpenAI's word.
    """

    pieces: tuple[str, ...] = ("Hello", " from", " far away.")
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[StubCall, ...] = ()
    finish: str = "stop"
    stop_word: str | None = None
    prompt_tokens: int = 9
    completion_tokens: int = 4
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    pause_s: float = 0.0

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass
class StubTrouble:
    """What goes wrong, `times` times, for requests with `key` (any without) whose path ends with
    `path`. Without a `mishap` the status is answered; `delay_s` comes before either. Streams stop
    after as many parts as `after` says.
    """

    status: int = 200
    mishap: Mishap | None = None
    times: int = 1
    key: str | None = None
    path: str = ""
    message: str = FAREWELL
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    after: int = 2

    def meets(self, request: "StubRequest") -> bool:
        """Whether it comes now."""
        is_meant = self.key is None or self.key == request.key
        return self.times > 0 and is_meant and request.path.endswith(self.path)


@dataclass(frozen=True)
class StubRequest:
    """A request as it came. Header names are lower case; `path` is decoded, `raw_path` not."""

    method: str
    path: str
    raw_path: str
    query: str
    headers: dict[str, str]
    body: bytes
    key: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)
