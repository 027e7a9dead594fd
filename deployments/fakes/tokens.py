"""The fake text model's tokens, which are the bytes of a text, and its chat template."""

from serve_app.core.errors import InvalidRequest
from serve_app.core.text.tokens import Detokenize, RenderPrompt

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
VOCABULARY = 256


def encoded(text: str) -> tuple[int, ...]:
    """A token for each byte."""
    return tuple(text.encode())


def decoded(request: Detokenize) -> str:
    """The text of tokens."""
    for position, token in enumerate(request.ids):
        if not 0 <= token < VOCABULARY:
            raise InvalidRequest(
                f"there is no token {token}",
                remedy=f"the last is {VOCABULARY - 1}",
                param=f"ids[{position}]",
            )
    return bytes(request.ids).decode("utf-8", "replace")


def rendered(request: RenderPrompt) -> str:
    """What the template makes of the messages."""
    turns = [f"<|im_start|>{m.role}\n{m.text}<|im_end|>\n" for m in request.messages]
    return "".join(turns) + "<|im_start|>assistant\n"
