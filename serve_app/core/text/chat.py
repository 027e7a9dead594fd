"""Text generation: chat and plain completion, as one stream of typed deltas."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from serve_app.core.engine import Engine
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.operation import Operation

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
ReasoningEffort = Literal["none", "low", "medium", "high"]


class Sampling(Message):
    """How tokens are chosen; names and ranges are OpenAI's, extensions llama.cpp's.

    `logprobs` is the number of alternatives reported beside each chosen token; None reports
    nothing, 0 the chosen token alone. `max_tokens` None runs until the context ends. Choice `i` of
    `n` is sampled with `seed + i`.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_penalty: float = 1.0
    logit_bias: dict[int, float] = Field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    n: int = 1


class TextPart(Message):
    """Plain text inside a message."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(Message):
    """An image inside a message."""

    type: Literal["image"] = "image"
    image: Blob


class AudioPart(Message):
    """An audio file inside a message."""

    type: Literal["audio"] = "audio"
    audio: Blob


Part = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]


class ToolCall(Message):
    """One call the model made; `arguments` is complete JSON text."""

    id: str
    name: str
    arguments: str


class ChatMessage(Message):
    """One turn. `developer` reaches engines as `system`; content is always a tuple of parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text parts joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class Tool(Message):
    """A function the model may call; `parameters` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class ToolChoice(Message):
    """`function` forces the tool called `name`; `required` forces any."""

    mode: Literal["none", "auto", "required", "function"] = "auto"
    name: str | None = None


class TextFormat(Message):
    """What the answer's text must be; `json_schema` is constrained while decoding. `strict` refuses
    a schema of which something would have to be left out.
    """

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None
    strict: bool = False


class TokenLogprob(Message):
    """A token with its natural log probability and, best first, its alternatives."""

    token: str
    token_id: int
    logprob: float | None
    token_bytes: bytes = b""
    top: tuple["TokenLogprob", ...] = ()


class ToolCallDelta(Message):
    """A piece of a tool call: `id` and `name` come with the first piece of call `index`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class ChatDelta(Message):
    """What was added to choice `index`. `warnings` are about the whole answer: what of the request
    could not be done.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    warnings: tuple[str, ...] = ()


class Usage(Message):
    """Real token counts over all choices; the last item of every stream. None means not known.

    `fingerprint` names engine and weights, so that equal values promise equal output for a seed.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    fingerprint: str | None = None


ChatEvent = ChatDelta | Usage


class CollectedText(Message):
    """All that a text model said, as it came."""

    events: tuple[ChatEvent, ...]


class Complete(Operation[ChatEvent]):
    """Continue prompts. Choices are numbered prompt-major: prompt `p`, choice `i` has index
    `p * n + i`. `best_of` candidates are sampled per prompt and the `n` most likely ones returned.
    """

    name, task, verb, result = "complete", "chat", "complete", CollectedText

    model: str
    prompts: tuple[str | tuple[int, ...], ...]
    sampling: Sampling = Sampling()
    suffix: str | None = None
    best_of: int | None = None
    echo: bool = False

    @property
    def fits_one_message(self) -> bool:
        """Log probabilities are a kilobyte per token, and a message of gRPC has limits."""
        return self.sampling.logprobs is None


class Chat(Operation[ChatEvent]):
    """Answer a conversation. `model` is a canonical id, never an alias."""

    name, task, verb, result = "chat", "chat", "chat", CollectedText

    model: str
    messages: tuple[ChatMessage, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: TextFormat = TextFormat()
    thinking: bool = False
    reasoning_effort: ReasoningEffort | None = None

    @property
    def is_constrained(self) -> bool:
        """Whether the answer is held to JSON: a call that has to be made, or a format."""
        forced = self.tool_choice.mode in ("required", "function")
        return forced or self.response_format.type != "text"

    @property
    def fits_one_message(self) -> bool:
        """Log probabilities are a kilobyte per token, and a message of gRPC has limits."""
        return self.sampling.logprobs is None


class ChatModel(Engine, Protocol):
    """Generates text. Errors are raised before the first item where they can be known then;
    closing the iterator frees the slot.
    """

    def chat(self, request: Chat) -> AsyncIterator[ChatEvent]:
        """Deltas of all choices interleaved, each choice ending in a finish_reason, then Usage."""
        ...

    def complete(self, request: Complete) -> AsyncIterator[ChatEvent]:
        """As `chat`, for prompts without a conversation."""
        ...
