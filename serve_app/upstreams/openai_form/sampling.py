"""How tokens are chosen, in OpenAI's words and in those of the servers that have more of them."""

from collections.abc import Mapping
from typing import Any

from serve_app.core.notices import Notice
from serve_app.core.text.chat import NO_EFFECT, Sampling, TextFormat
from serve_app.core.upstreams.provider import ProviderType
from serve_app.upstreams.openai_form.exchange import GATEWAYS, OWN_SERVER, Object

DEFAULTS = Sampling()
COMMON = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "n")
OF_GATEWAYS: Mapping[str, tuple[str, ...]] = {
    "top_k": ("top_k",),
    "min_p": ("min_p",),
    "repeat_penalty": ("repetition_penalty", "repeat_penalty"),
}
OF_OWN_SERVERS = (
    "typical_p",
    "repeat_last_n",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "ignore_eos",
    "samplers",
)


def sampling_fields(sampling: Sampling, kind: ProviderType) -> tuple[Object, tuple[Notice, ...]]:
    """The fields of a request, and what is left out. What the caller has not set is not sent: every
    model has its own defaults, and some take no other values.
    """
    given = _given(sampling)
    fields: Object = {name: given[name] for name in COMMON if name in given}
    if sampling.logit_bias:
        fields["logit_bias"] = {str(key): bias for key, bias in sampling.logit_bias.items()}
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    left_out = []
    for name in (*OF_GATEWAYS, *OF_OWN_SERVERS):
        if name not in given or given[name] == getattr(DEFAULTS, name):
            continue
        if kind in (GATEWAYS if name in OF_GATEWAYS else OWN_SERVER):
            words = OF_GATEWAYS.get(name, (name,))
            fields |= dict.fromkeys(words[: None if kind in OWN_SERVER else 1], given[name])
        else:
            left_out.append(Notice(text="the provider has no such field", field=name))
    return fields, tuple(left_out)


def format_fields(wanted: TextFormat, kind: ProviderType) -> Object:
    """What the text must be."""
    match wanted.type:
        case "text":
            return {}
        case "grammar":
            return {"grammar": wanted.grammar} if kind in OWN_SERVER else {}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "json_schema":
            schema = {"name": "response", "schema": wanted.json_schema, "strict": wanted.strict}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _given(sampling: Sampling) -> dict[str, Any]:
    """What the caller has set. Of an operation that was stored, everything looks set."""
    names = sampling.model_fields_set
    is_stored = len(names) == len(Sampling.model_fields)
    given = {name: getattr(sampling, name) for name in names}
    return {
        name: value
        for name, value in given.items()
        if value is not None
        and not (is_stored and value == getattr(DEFAULTS, name))
        and NO_EFFECT.get(name) != value
    }
