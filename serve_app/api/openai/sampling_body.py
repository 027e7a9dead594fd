"""The sampling fields that chat and completions share."""

from typing import Annotated, Any

from pydantic import AliasChoices, Field, field_validator

from serve_app.api.job_body import JobBody
from serve_app.api.request_body import Body
from serve_app.api.wire_types import Flag, Integer, ModelName, Number, Text
from serve_app.core.text.chat import Sampling

StopText = Annotated[Text, Field(min_length=1, max_length=1000)]
MAX_SEED = 2**63 - 1


class StreamOptions(Body):
    """What a stream carries besides the text."""

    include_usage: Flag | None = None
    include_queue: Flag | None = None


class SamplingBody(JobBody):
    """How tokens are sampled. The ranges are OpenAI's; `top_k`, `min_p` and `repeat_penalty` are
    extensions. null is the default.
    """

    model: ModelName | None = None
    temperature: Annotated[Number, Field(strict=True, ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = Field(
        default=None, validation_alias=AliasChoices("top_p", "topP")
    )
    top_k: Annotated[Integer, Field(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = None
    n: Annotated[Integer, Field(ge=1, le=16)] | None = None
    max_tokens: Annotated[Integer, Field(ge=1, le=2**31)] | None = Field(
        default=None, validation_alias=AliasChoices("max_tokens", "maxTokens")
    )
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    presence_penalty: Annotated[Number, Field(strict=True, ge=-2, le=2)] | None = Field(
        default=None, validation_alias=AliasChoices("presence_penalty", "presencePenalty")
    )
    frequency_penalty: Annotated[Number, Field(strict=True, ge=-2, le=2)] | None = Field(
        default=None, validation_alias=AliasChoices("frequency_penalty", "frequencyPenalty")
    )
    repeat_penalty: Annotated[Number, Field(strict=True, gt=0, le=100)] | None = Field(
        default=None, validation_alias=AliasChoices("repeat_penalty", "repetition_penalty")
    )
    seed: Annotated[Integer, Field(ge=-(2**63), le=MAX_SEED)] | None = None
    logit_bias: dict[str, Annotated[Number, Field(strict=True, ge=-100, le=100)]] | None = Field(
        default=None, validation_alias=AliasChoices("logit_bias", "logitBias"), max_length=1024
    )
    user: Text | None = None

    @field_validator("logit_bias")
    @classmethod
    def _keys_are_token_ids(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for key in value or ():
            if not (key.isascii() and key.isdigit() and len(key) < 10):
                raise ValueError(f"{key[:20]!r} is not a token id")
        return value

    def sampling(self, *, logprobs: int | None, max_tokens: int | None) -> Sampling:
        """As core has it. What was not sent is not set, so that models of providers can have
        defaults of their own.
        """
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        fields = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repeat_penalty": self.repeat_penalty,
            "seed": self.seed,
            "max_tokens": max_tokens,
            "logprobs": logprobs,
            "n": self.n,
        }
        given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        return Sampling(logit_bias=self.biases(), stop=stop, **given)

    def biases(self) -> dict[int, float]:
        """What is added to the logits of tokens."""
        return {int(key): bias for key, bias in (self.logit_bias or {}).items()}

    def idle_stream_options(self) -> list[str]:
        """What of them has no effect; this server tells nothing of its queue."""
        if self.stream_options is None:
            return []
        if not self.stream:
            return ["stream_options"]
        return ["stream_options.include_queue"] if self.stream_options.include_queue else []

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)
