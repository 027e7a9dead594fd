"""Core requests as the fields of llama.cpp's completions. Pure."""

import json
from typing import Any

from serve_app.core.errors import InvalidRequest
from serve_app.core.options.sampling import SettledSampling
from serve_app.core.text.chat import Sampling, TextFormat

COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""Free white space lets a weak model spend all its tokens on blanks."""
ANY_OBJECT: dict[str, Any] = {"type": "object"}
ALL_TOKENS = 65_536
"""More than most conversations have; llama.cpp knows no word for all."""
FILTERS = ("penalties", "top_k", "typ_p", "top_p", "min_p", "temperature")
"""llama.cpp's order. Without its extensions, which no field of a request turns on."""


def sampling_fields(sampling: SettledSampling) -> dict[str, Any]:
    """How tokens are chosen, in llama.cpp's words."""
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or 0,
        "min_p": sampling.min_p or 0.0,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": ALL_TOKENS if sampling.repeat_last_n is None else sampling.repeat_last_n,
        "typical_p": sampling.typical_p,
        "seed": sampling.seed,
        "samplers": list(FILTERS if sampling.samplers is None else sampling.samplers),
    }
    if sampling.logit_bias:
        fields["logit_bias"] = [[token, bias] for token, bias in sampling.logit_bias.items()]
    if sampling.mirostat:
        fields |= {
            "mirostat": sampling.mirostat,
            "mirostat_tau": sampling.mirostat_tau,
            "mirostat_eta": sampling.mirostat_eta,
        }
    if sampling.ignore_eos:
        fields["ignore_eos"] = True
    if sampling.logprobs is not None:
        # The chosen token's own comes with one alternative at least.
        fields["n_probs"] = max(1, sampling.logprobs)
    return {name: value for name, value in fields.items() if value is not None}


def grammar_of(form: TextFormat) -> str | None:
    """What holds an answer to a format, in one of the two languages that llama.cpp reads."""
    match form.type:
        case "json_object":
            return json_grammar(ANY_OBJECT)
        case "json_schema":
            return json_grammar(form.json_schema or {})
        case "grammar":
            return form.grammar
    return None


def json_grammar(schema: dict[str, Any]) -> str:
    """That of llguidance, which is inside llama.cpp."""
    # What is left out has been told before.
    guided = {"x-guidance": {**COMPACT, "lenient": True}} | schema
    return f"%llguidance {{}}\nstart: %json {json.dumps(guided)}"


def check_bias(sampling: Sampling, vocabulary: int) -> None:
    """InvalidRequest for a biased token that the model does not have; llama.cpp ignores it."""
    for token in sampling.logit_bias:
        if token >= vocabulary:
            raise InvalidRequest(
                f"there is no token {token}",
                remedy=f"the last is {vocabulary - 1}",
                param="logit_bias",
            )
