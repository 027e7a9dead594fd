"""Which parts of a conversation a model takes."""

from serve_app.core.errors import UnsupportedCapability
from serve_app.core.text.chat import Chat


def refuse_unsupported_parts(request: Chat, *, sees: bool) -> None:
    """UnsupportedCapability for the first part that is neither text nor, if the model `sees`, an
    image.
    """
    taken = {"text", "image"} if sees else {"text"}
    for m, message in enumerate(request.messages):
        for p, part in enumerate(message.content):
            if part.type not in taken:
                raise UnsupportedCapability(
                    f"model {request.model!r} takes no {part.type} input",
                    param=f"messages[{m}].content[{p}]",
                )
