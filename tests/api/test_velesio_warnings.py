"""What of a format could not be followed, told in Velesio's answers and streams."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, Complete, Usage
from tests.api.conftest import MakeContext, client_of

SCHEMA = {"type": "object"}
OPENAI = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
PROMPT = {"prompt": "one two"}
CHAT = {"messages": [{"role": "user", "content": "one two"}]}


class Leaving:
    """Cannot follow a format, nor keep a seed."""

    def chat(self, _: Chat) -> AsyncIterator[ChatEvent]:
        return self._said()

    def complete(self, _: Complete) -> AsyncIterator[ChatEvent]:
        return self._said()

    async def _said(self) -> AsyncIterator[ChatEvent]:
        path = "response_format.json_schema"
        left_out = Notice(field=path, text="'not' is not enforced"), Notice(text="it was late")
        yield ChatDelta(text="one", warnings=left_out)
        yield ChatDelta(finish_reason="stop")
        yield Usage(prompt_tokens=1, completion_tokens=1)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/completion", PROMPT | {"json_schema": SCHEMA}, "json_schema"),
        ("/completion", PROMPT | {"grammar": 'root ::= "a"'}, "grammar"),
        ("/chat/completions", CHAT | {"json_schema": SCHEMA}, "json_schema"),
        ("/chat/completions", CHAT | {"response_format": OPENAI}, "response_format.json_schema"),
    ],
)
async def test_warnings_of_a_format_name_the_field_that_asked_for_it(
    make_context: MakeContext, path: str, body: dict[str, Any], field: str, is_streamed: bool
) -> None:
    async with client_of(make_context(runs={"chat": Leaving()})) as client:
        answer = await client.post(path, json=body | {"stream": is_streamed})
    assert answer.status_code == 200, answer.text
    told = answer.json() if not is_streamed else last_frame(answer.text)
    assert told["warnings"] == [f"{field}: 'not' is not enforced", "it was late"]


def last_frame(text: str) -> Any:
    *_, last, end = [part for part in text.split("\n\n") if part]
    assert end == "data: [DONE]"
    return json.loads(last.removeprefix("data: "))
