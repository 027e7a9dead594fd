"""What a text model reads: tokens, and conversations as its chat template writes them."""

from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.core.text.chat import ChatMessage, ReasoningEffort, Tool


class Tokens(Message):
    """Token ids in the order of the text."""

    ids: tuple[int, ...]


class PlainPrompt(Message):
    """A text as it stands before the model."""

    text: str


class PromptFormat(Message):
    """`template` is the chat template in Jinja, None where the model has none. `context_length` is
    in tokens.
    """

    template: str | None = None
    context_length: int | None = None


class Tokenize(Operation[Tokens]):
    """Cut a text into tokens. With `adds_specials` those that the model expects around a text are
    among them, such as a mark of its beginning.
    """

    name, task, verb = "tokenize", "chat", "tokenize"
    answers_once = True

    model: str
    text: str
    adds_specials: bool = False


class Detokenize(Operation[PlainPrompt]):
    """Join tokens to their text, special ones too."""

    name, task, verb = "detokenize", "chat", "detokenize"
    answers_once = True

    model: str
    ids: tuple[int, ...]


class RenderPrompt(Operation[PlainPrompt]):
    """Write a conversation as the model reads it, up to where its answer begins."""

    name, task, verb = "render-prompt", "chat", "render_prompt"
    answers_once = True

    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    thinking: bool = False
    reasoning_effort: ReasoningEffort | None = None


class ReadPromptFormat(Operation[PromptFormat]):
    """Read how a model's prompts are written."""

    name, task, verb = "read-prompt-format", "chat", "read_prompt_format"
    answers_once = True

    model: str
