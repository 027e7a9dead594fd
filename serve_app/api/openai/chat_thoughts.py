"""What a model of a provider has thought, in the form of OpenRouter's `reasoning_details`: clients
send it back with the message, and the provider takes it for its own.

https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from typing import Any

from serve_app.core.text.chat import ChatDelta, Thought

FORMAT = "anthropic-claude-v1"
TEXT, ENCRYPTED = "reasoning.text", "reasoning.encrypted"
MOST = 1000
"""Of pieces in one message."""


def thought_detail(delta: ChatDelta) -> dict[str, Any]:
    """The piece of a delta that has one."""
    thought = delta.thought
    assert thought is not None
    detail: dict[str, Any] = {"format": FORMAT, "index": thought.index}
    if thought.data:
        return {"type": ENCRYPTED, "data": thought.data} | detail
    signed = {"signature": thought.signature} if thought.signature else {}
    return {"type": TEXT, "text": delta.reasoning} | signed | detail


def add_detail(details: list[dict[str, Any]], detail: dict[str, Any]) -> None:
    """Put a piece to those before it: the pieces of one thought become one."""
    last = details[-1] if details else None
    if last is None or detail["type"] != TEXT or not _is_open(last, detail["index"]):
        details.append(detail)
        return
    last["text"] += detail["text"]
    if "signature" in detail:
        last["signature"] = detail["signature"]


def thoughts_in(details: Any) -> tuple[Thought, ...]:
    """What of a message's details is to be sent back: thoughts of this form that are whole. They
    may come in the pieces that they were streamed in.
    """
    found: list[Thought] = []
    texts: list[str] = []
    for detail in details[:MOST] if isinstance(details, list) else ():
        if not isinstance(detail, dict) or detail.get("format") not in (FORMAT, None):
            continue
        if detail.get("type") == ENCRYPTED and (data := _text(detail, "data")):
            found.append(Thought(index=len(found), data=data))
        elif detail.get("type") == TEXT:
            texts.append(_text(detail, "text"))
            if signature := _text(detail, "signature"):
                text = "".join(texts)
                found.append(Thought(index=len(found), text=text, signature=signature))
                texts = []
    return tuple(found)


def _is_open(last: dict[str, Any], index: int) -> bool:
    return last["type"] == TEXT and last["index"] == index and "signature" not in last


def _text(detail: dict[str, Any], name: str) -> str:
    found = detail.get(name)
    return found if isinstance(found, str) else ""
