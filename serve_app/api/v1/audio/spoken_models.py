"""Which models transcribe and translate a video, and in which languages."""

import re

from serve_app.catalog.catalog import Catalog
from serve_app.catalog.transcription_routing import select
from serve_app.core.errors import InvalidRequest
from serve_app.core.tasks import Task
from serve_app.core.text.languages import language_code

LOCALE = re.compile(r"[a-z]{2,3}((?:-[a-z0-9]{2,4}){1,2})")
TRANSLATING: tuple[Task, ...] = ("chat", "translation")


def spoken_models(catalog: Catalog, name: str | None, language: str | None) -> tuple[str, str]:
    """The ids of the models that transcribe and translate; `name` is either of them, and the other
    one is the default.
    """
    names_translator = is_translator(catalog, name)
    transcription = select(catalog, None if names_translator else name, language).id
    return transcription, catalog.find("translation", name if names_translator else None).id


def is_translator(catalog: Catalog, name: str | None) -> bool:
    """Whether `name` is that of a model that translates. Names that only transcription routing
    knows, like Whisper sizes, are none.
    """
    return name is not None and any(
        name.lower() in map(str.lower, (f.id, *f.model.aliases))
        for f in catalog.all()
        if f.family.options.task in TRANSLATING
    )


def known_language(text: str, param: str) -> str:
    """The code of a language. InvalidRequest for one that is unknown."""
    code = language_code(text)
    if code is None:
        raise InvalidRequest(
            f"unknown language {text[:50]!r}", remedy="use an ISO code such as 'de'", param=param
        )
    return code


def known_locale(text: str, param: str) -> str:
    """The code of a language, with the script or the region that follows it: `pt-br`."""
    code = known_language(text, param)
    found = LOCALE.fullmatch(text.strip().lower().replace("_", "-"))
    return code + (found[1] if found else "")
