"""A GGUF's own chat template, rendered as transformers renders one."""

import json
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class ChatTemplate:
    """In place of a tokenizer for `Prompts`, which asks it for this one thing. `tokens` are names
    that templates know, as `bos_token`.
    """

    def __init__(self, template: str, tokens: dict[str, str]) -> None:
        self._template = _environment().from_string(template)
        self._tokens = tokens

    def apply_chat_template(
        self, messages: list[dict[str, Any]], *, tokenize: bool = False, **arguments: Any
    ) -> str:
        """The conversation as text."""
        assert not tokenize, "only llama.cpp has the tokens"
        return self._template.render(messages=messages, **self._tokens, **arguments)


def _environment() -> ImmutableSandboxedEnvironment:
    # No HTML is written, and templates are written for exactly these settings.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _json
    environment.globals["raise_exception"] = _refused
    environment.globals["strftime_now"] = _now
    return environment


def _json(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refused(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
