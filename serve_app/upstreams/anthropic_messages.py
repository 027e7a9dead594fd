"""A conversation as Anthropic's Messages API takes it."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob, BlobStore
from serve_app.core.notices import Notice
from serve_app.core.text.chat import ChatMessage, ImagePart, Part, TextPart, Thought, ToolCall

Object = dict[str, Any]
THOUGHTS = ("thinking", "redacted_thinking")
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


class AnthropicConversation:
    """Turns, with the system's text apart from them. Turns of one side that follow each other are
    one, since all results of a turn's calls have to be in the next one.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.turns: list[Object] = []
        self.system: list[str] = []
        self.left_out: list[Notice] = []

    async def add(self, message: ChatMessage, position: int) -> None:
        """The next message; it may be of the system anywhere."""
        where = f"messages[{position}]"
        if message.name and message.role != "tool":
            said = Notice(text="the provider has no such field", field=f"{where}.name")
            self.left_out.append(said)
        match message.role:
            case "system":
                self._add_system(message.text, where)
            case "tool":
                content = await self._blocks(message.content, where)
                result = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id or "")}
                self._add("user", [result | ({"content": content} if content else {})])
            case "user":
                self._add("user", await self._blocks(message.content, where))
            case "assistant":
                said_before = await self._blocks(message.content, where)
                said_before += map(_tool_use, message.tool_calls)
                # A turn may not end with a thought.
                thoughts = map(_thinking, message.thoughts) if said_before else ()
                self._add("assistant", [*thoughts, *said_before])

    def finish(self) -> Object:
        """The fields of a request."""
        system = "\n\n".join(self.system)
        if not self.turns:
            return {"messages": [{"role": "user", "content": system}]}
        last = self.turns[-1]["content"][-1]
        if self.turns[-1]["role"] == "assistant" and last["type"] == "text":
            # A beginning of an answer may not end with white space.
            last["text"] = last["text"].rstrip()
        return {"messages": self.turns} | ({"system": system} if system else {})

    @property
    def continues_calls(self) -> bool:
        """Whether the last turns are calls and their results, after which the model goes on."""
        blocks: Iterable[Object] = self.turns[-1]["content"] if self.turns else ()
        return any(block["type"] == "tool_result" for block in blocks)

    @property
    def has_calls(self) -> bool:
        """Whether tools were called anywhere."""
        blocks = (block for turn in self.turns for block in turn["content"])
        return any(block["type"] in ("tool_use", "tool_result") for block in blocks)

    @property
    def has_thought_before(self) -> bool:
        """Whether it is known what the model thought before these calls."""
        return len(self.turns) > 1 and self.turns[-2]["content"][0]["type"] in THOUGHTS

    def _add(self, role: str, blocks: list[Object]) -> None:
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        elif blocks:
            self.turns.append({"role": role, "content": blocks})

    def _add_system(self, text: str, where: str) -> None:
        if self.turns:
            said = "what the system says comes before all that others say at this provider"
            self.left_out.append(Notice(text=said, field=where))
        if text.strip():
            self.system.append(text)

    async def _blocks(self, parts: tuple[Part, ...], where: str) -> list[Object]:
        """Texts without anything in them are refused, and left out."""
        blocks: list[Object] = []
        for i, part in enumerate(parts):
            match part:
                case TextPart() if part.text.strip():
                    blocks.append({"type": "text", "text": part.text})
                case TextPart():
                    continue
                case ImagePart():
                    blocks.append(await self._image(part.image, f"{where}.content[{i}]"))
                case _:
                    raise UnsupportedCapability(
                        "the provider takes no audio", param=f"{where}.content[{i}]"
                    )
        return blocks

    async def _image(self, image: Blob, where: str) -> Object:
        if image.mime not in IMAGE_TYPES:
            known = ", ".join(IMAGE_TYPES)
            raise InvalidRequest(f"the provider takes images as {known} only", param=where)
        content = b"".join([chunk async for chunk in self._blobs.read(image)])
        data = base64.b64encode(content).decode()
        source = {"type": "base64", "media_type": image.mime, "data": data}
        return {"type": "image", "source": source}


def tool_id(given: str) -> str:
    """A call's id with the characters that ids may have here: other providers' have more."""
    kept = (c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in given)
    return "".join(kept) or "call"


def _thinking(thought: Thought) -> Object:
    if thought.data:
        return {"type": "redacted_thinking", "data": thought.data}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _tool_use(call: ToolCall) -> Object:
    return {
        "type": "tool_use",
        "id": tool_id(call.id),
        "name": call.name,
        "input": _arguments(call.arguments),
    }


def _arguments(text: str) -> Object:
    """An object in any case: what another model has written need not be one."""
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        given = text
    return given if isinstance(given, dict) else {"arguments": given}
