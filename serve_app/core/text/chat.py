"""Text generation: chat and plain completion, as one stream of typed deltas."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
ReasoningEffort = Literal["none", "low", "medium", "high"]
Sampler = Literal["penalties", "temperature", "top_k", "typ_p", "top_p", "min_p"]
RARE_SAMPLING = frozenset(
    {
        "typical_p",
        "repeat_last_n",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "ignore_eos",
        "samplers",
    }
)
"""Fields of `Sampling` that an engine acts on only where its options say that it `honours` them."""

NO_EFFECT = {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}
"""Values that turn a field of `Sampling` off."""


class Sampling(Message):
    """How tokens are chosen; names and ranges are OpenAI's, extensions llama.cpp's.

    `logprobs` is the number of alternatives reported beside each chosen token; None reports
    nothing, 0 the chosen token alone. `max_tokens` None runs until the context ends, 0 reads the
    prompt alone. Choice `i` of `n` is sampled with `seed + i`.

    `temperature`, `top_p`, `top_k`, `min_p` and `repeat_penalty` are the model's own where they are
    None; 0 turns `top_k` and `min_p` off.

    Not every engine knows what is listed in `RARE_SAMPLING`. `repeat_last_n` is how many tokens
    before the next one `repeat_penalty` looks at; None is all of them, 0 none. `mirostat` is its
    version, 0 without. `samplers` are the filters to apply, in this order; None is the engine's
    own order.

    Only what was set is stored: a provider is sent nothing else, and has defaults of its own.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_penalty: float | None = None
    logit_bias: dict[int, float] = Field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logprobs: int | None = None
    n: int = 1
    typical_p: float | None = None
    repeat_last_n: int | None = None
    mirostat: Literal[0, 1, 2] = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    ignore_eos: bool = False
    samplers: tuple[Sampler, ...] | None = None

    @model_serializer(mode="wrap")
    def _given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name in self.model_fields_set}


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


class Thought(Message):
    """What a model thought, with the signature by which its maker knows it again; `data` is one
    that nobody else can read. `index` numbers the thoughts of a response. In a delta it is a piece,
    whose text is the delta's `reasoning`.
    """

    index: int = 0
    text: str = ""
    signature: str = ""
    data: str = ""


class ChatMessage(Message):
    """One turn. `developer` reaches engines as `system`; content is always a tuple of parts.
    `thoughts` are what a provider has to get back, before the content.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    thoughts: tuple[Thought, ...] = ()

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
    a schema of which something would have to be left out. `grammar` is one of llama.cpp's (GBNF);
    not every engine knows those.
    """

    type: Literal["text", "json_object", "json_schema", "grammar"] = "text"
    json_schema: dict[str, Any] | None = None
    strict: bool = False
    grammar: str | None = None


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
    """What was added to choice `index`. `stop_word` is which of the stop texts ended it, if one
    has. `warnings` are about the whole answer: what of the request could not be done. `thought` is
    set where the reasoning can be sent back.

    `passed_on` is a piece of a provider's response as it came, of all choices, for the caller of a
    chat that was sent on `as_sent`: whole server-sent events, or the one JSON object. Nothing
    else is set then.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    thought: Thought | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    stop_word: str | None = None
    warnings: tuple[Notice, ...] = ()
    passed_on: bytes = b""


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


Prompt = str | tuple[int | str, ...]
"""Text, token ids, or pieces of both."""


class Complete(Operation[CollectedText, ChatEvent]):
    """Continue prompts. Choices are numbered prompt-major: prompt `p`, choice `i` has index
    `p * n + i`. `best_of` candidates are sampled per prompt and the `n` most likely ones returned.
    """

    name, task, verb = "complete", "chat", "complete"

    model: str
    prompts: tuple[Prompt, ...]
    sampling: Sampling = Sampling()
    suffix: str | None = None
    best_of: int | None = None
    echo: bool = False
    response_format: TextFormat = TextFormat()

    @property
    def fits_one_message(self) -> bool:
        """Log probabilities are a kilobyte per token, and a message of gRPC has limits."""
        return self.sampling.logprobs is None


class Chat(Operation[CollectedText, ChatEvent]):
    """Answer a conversation. `model` is a canonical id, never an alias. `extra` are fields that
    this server does not know, or has no use for, on their way to a provider that may know them.

    `as_sent` is the request as it came in OpenAI's form, for a provider of that form, as far as it
    need not be read here; it is set only for callers who can take the response as it comes, see
    `ChatDelta.passed_on`.
    """

    name, task, verb = "chat", "chat", "chat"

    model: str
    messages: tuple[ChatMessage, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: TextFormat = TextFormat()
    thinking: bool = False
    reasoning_effort: ReasoningEffort | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    as_sent: bytes | None = None

    @property
    def is_constrained(self) -> bool:
        """Whether the answer is held to JSON: a call that has to be made, or a format."""
        forced = self.tool_choice.mode in ("required", "function")
        return forced or self.response_format.type != "text"

    @property
    def fits_one_message(self) -> bool:
        """Log probabilities are a kilobyte per token, and a message of gRPC has limits."""
        return self.sampling.logprobs is None
