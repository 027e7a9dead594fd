"""Text in, the same in another language."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from serve_app.core.engine import Engine
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation

Purpose = Literal["read", "spoken"]


class Translation(Message):
    """A text for each of the texts, in their order; one without words is empty. `kept` are the
    places of those that the model failed on, which are as they were, and `cut` those whose
    translation did not come to its end.
    """

    texts: tuple[str, ...]
    kept: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()


class Translate(Operation[Translation]):
    """Put `texts` into another language. Languages are codes or locales, such as `de` and `pt-br`;
    without a source it is for the model to tell. `purpose` is what the result is for, which
    matters to models that can be told.
    """

    name, task, verb = "translate", "translation", "translate"

    model: str
    texts: tuple[str, ...]
    target_language: str
    source_language: str | None = None
    purpose: Purpose = "read"


class TranslationFacts(Message):
    """The languages that a model knows, as codes, or locales where it knows several of a language;
    `sources` None where any may be tried.
    """

    sources: tuple[str, ...] | None
    targets: tuple[str, ...]


TranslationEvent = Progress | Translation


class Translator(Engine, Protocol):
    """Translates."""

    def translate(self, request: Translate) -> AsyncIterator[TranslationEvent]:
        """Last the result. InvalidRequest with `param` `target_language` or `source_language`
        for a language that the model does not know, also where there are no texts.
        """
        ...
