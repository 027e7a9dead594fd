"""The sampling fields of both of Velesio's ways to speak: its documented one, and llama.cpp's."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import override

from serve_app.api.openai.sampling_body import SamplingBody
from serve_app.api.wire_types import Flag, Integer, JsonObject, Number, Text
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import RARE_SAMPLING, Sampler, Sampling, TextFormat

LLAMA_MARKS = frozenset({"n_predict", "cache_prompt", "id_slot", "n_keep"})
"""Fields by which a completion is known to be asked for as llama.cpp is."""
NO_EFFECT = ("cache_prompt", "id_slot", "n_keep", "penalize_nl")
MAX_TOKENS = 150
REPEAT_LAST_N = 64
FORBIDDEN = -1e9
"""Added to the logit of a token that must not come."""
EMPTY: tuple[Any, ...] = ("", [], {})
MAY_BE_EMPTY = frozenset({"prompt", "messages"})
SAMPLERS: Mapping[str, Sampler] = {
    "penalties": "penalties",
    "temperature": "temperature",
    "temp": "temperature",
    "top_k": "top_k",
    "top-k": "top_k",
    "typ_p": "typ_p",
    "typ-p": "typ_p",
    "typical_p": "typ_p",
    "top_p": "top_p",
    "top-p": "top_p",
    "min_p": "min_p",
    "min-p": "min_p",
    "e": "penalties",
    "t": "temperature",
    "k": "top_k",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
}
"""llama.cpp's names, and the letters of its short form."""
SCHEMA = TypeAdapter[dict[str, Any]](JsonObject)
Bias = Annotated[Number, Field(strict=True)] | Literal[False]
BiasPair = tuple[
    Annotated[Integer, Field(ge=0, lt=2**31)] | Annotated[Text, Field(min_length=1)],
    Bias,
]
Biases = dict[str, Bias] | list[BiasPair]


class LlamaBody(SamplingBody):
    """What llama.cpp knows besides OpenAI's fields. Empty values are as absent ones."""

    n_predict: Annotated[Integer, Field(ge=-2, le=2**31)] | None = None
    top_k: Annotated[Integer, Field(ge=-1, le=1_000_000)] | None = None
    repeat_penalty: Annotated[Number, Field(strict=True, ge=0, le=100)] | None = Field(
        default=None, validation_alias=AliasChoices("repeat_penalty", "repetition_penalty")
    )
    repeat_last_n: Annotated[Integer, Field(ge=-1, le=2**31)] | None = None
    typical_p: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = None
    mirostat: Annotated[Integer, Field(ge=0, le=2)] | None = None
    mirostat_tau: Annotated[Number, Field(strict=True, ge=0, le=100)] | None = None
    mirostat_eta: Annotated[Number, Field(strict=True, ge=0, le=100)] | None = None
    logit_bias: Biases | None = Field(  # type: ignore[assignment]
        default=None, validation_alias=AliasChoices("logit_bias", "logitBias"), max_length=1024
    )
    grammar: Annotated[Text, Field(max_length=100_000)] | None = None
    json_schema: JsonObject | Annotated[Text, Field(max_length=1_000_000)] | None = None
    n_probs: Annotated[Integer, Field(ge=0, le=20)] | None = None
    ignore_eos: Flag | None = None
    samplers: Annotated[list[Text], Field(max_length=50)] | Text | None = None
    cache_prompt: Any = None
    id_slot: Any = None
    n_keep: Any = None
    penalize_nl: Any = None

    @model_validator(mode="before")
    @classmethod
    def _without_empties(cls, values: Any) -> Any:
        """Clients that fill in a form send all that it has."""
        if not isinstance(values, dict):
            return values
        kept = {
            name: value
            for name, value in values.items()
            if name in MAY_BE_EMPTY or value not in EMPTY
        }
        if isinstance(stop := kept.get("stop"), list):
            kept["stop"] = [word for word in stop if word != ""]
        return kept

    @field_validator("logit_bias")
    @classmethod
    def _keys_are_token_ids(cls, value: Any) -> Any:
        """Texts are allowed, too."""
        return value

    @property
    def is_llama(self) -> bool:
        """Whether llama.cpp's defaults and frames are wanted."""
        return False

    @property
    def format_field(self) -> str | None:
        """By which of llama.cpp's fields the format of the answer is asked for."""
        return "grammar" if self.grammar else "json_schema" if self.json_schema else None

    def llama_format(self) -> TextFormat | None:
        """What the answer must be, None where no field of llama.cpp's says so. InvalidRequest for
        two of them, or for a schema that is no object.
        """
        if self.grammar and self.json_schema:
            raise InvalidRequest(
                "a grammar and a schema cannot hold at once",
                remedy="leave one of them out",
                param="grammar",
            )
        if self.grammar:
            return TextFormat(type="grammar", grammar=self.grammar)
        if self.json_schema:
            return TextFormat(type="json_schema", json_schema=_schema(self.json_schema))
        return None

    def idle_fields(self, honours: frozenset[str]) -> tuple[str, ...]:
        """The fields that an engine does not act on."""
        rare = (RARE_SAMPLING | {"grammar"}) - honours
        odd = ("samplers",) if self.samplers and len(self._samplers()) < len(self.samplers) else ()
        return (*sorted(rare), *odd, *NO_EFFECT)

    @override
    def biases(self) -> dict[int, float]:
        return {token: bias for token, bias in self._biases() if isinstance(token, int)}

    def text_biases(self) -> list[tuple[str, float]]:
        """Those of texts, every token of which has it."""
        return [(token, bias) for token, bias in self._biases() if isinstance(token, str)]

    @override
    def sampling(self, *, logprobs: int | None, max_tokens: int | None) -> Sampling:
        base = super().sampling(
            logprobs=(self.n_probs or None) if logprobs is None else logprobs,
            max_tokens=self._limit(max_tokens),
        )
        is_llama = self.is_llama
        top_k = 40 if self.top_k is None else self.top_k
        usual = {
            "temperature": 0.8 if is_llama else 0.7,
            "top_p": 0.95 if is_llama else 0.9,
            "min_p": 0.05 if is_llama else None,
        }
        absent = {name: value for name, value in usual.items() if getattr(self, name) is None}
        return base.model_copy(
            update=absent
            | self._rare(base.repeat_penalty or 1.0)
            | {
                "top_k": max(top_k, 0),
                "repeat_penalty": 1.0 if base.repeat_penalty == 0 else base.repeat_penalty,
                "seed": None if self.seed == -1 else self.seed,
            }
        )

    def _rare(self, repeat_penalty: float) -> dict[str, Any]:
        """The fields that not every engine knows, as far as they change anything."""
        rare: dict[str, Any] = {"ignore_eos": bool(self.ignore_eos)}
        if self.typical_p is not None and self.typical_p < 1:
            rare["typical_p"] = self.typical_p
        if repeat_penalty not in (0.0, 1.0):
            last = REPEAT_LAST_N if self.repeat_last_n is None else self.repeat_last_n
            rare["repeat_last_n"] = None if last < 0 else last
        if self.mirostat:
            names = ("mirostat", "mirostat_tau", "mirostat_eta")
            rare |= {name: getattr(self, name) for name in self.sent(*names)}
        if self.samplers:
            rare["samplers"] = self._samplers()
        return rare

    def _samplers(self) -> tuple[Sampler, ...]:
        names = self.samplers or ()
        return tuple(dict.fromkeys(SAMPLERS[name] for name in names if name in SAMPLERS))

    def _limit(self, max_tokens: int | None) -> int | None:
        """How many tokens may come; None is until the context ends."""
        if self.n_predict is not None:
            return None if self.n_predict < 0 else self.n_predict
        return max_tokens if max_tokens is not None or self.is_llama else MAX_TOKENS

    def _biases(self) -> list[tuple[int | str, float]]:
        given: Any = self.logit_bias or ()
        pairs = given.items() if isinstance(given, dict) else given
        return [(_token(key), FORBIDDEN if bias is False else bias) for key, bias in pairs]


def _token(key: int | str) -> int | str:
    is_id = isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10
    return int(key) if is_id else key


def _schema(given: dict[str, Any] | str) -> dict[str, Any]:
    if not isinstance(given, str):
        return given
    try:
        schema: dict[str, Any] = SCHEMA.validate_json(given)
    except ValidationError as error:
        raise InvalidRequest(
            f"the text is no schema: {error.errors()[0]['msg'].lower()}", param="json_schema"
        ) from None
    return schema
