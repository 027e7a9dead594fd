"""The fake that translates."""

from collections.abc import AsyncGenerator
from pathlib import Path

from typing_extensions import override

from deployments.fakes.engine import FakeEngine
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.text.languages import language_code
from serve_app.core.text.translation import (
    Translate,
    Translation,
    TranslationEvent,
    TranslationFacts,
    Translator,
)


class FakeTranslation(FakeEngine, Translator):
    """A Translator that says in which language a text should be: `[de] hello`. It knows the
    languages of its configuration, any without them.
    """

    def __init__(
        self, options: FakeOptions, model: Model, *, path: Path | None = None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        known = model.languages
        self.translation_facts = TranslationFacts(sources=None, targets=known) if known else None

    @override
    async def translate(self, request: Translate) -> AsyncGenerator[TranslationEvent]:
        target = language_code(request.target_language) or request.target_language
        if self.model.languages and target not in self.model.languages:
            raise InvalidRequest(
                f"model {request.model!r} does not translate to {target!r}",
                remedy=f"it translates to: {', '.join(self.model.languages)}",
                param="target_language",
            )
        total = len(request.texts)
        async with self.working("translate", str(total)):
            texts = [f"[{target}] {text}" if text.strip() else "" for text in request.texts]
            if texts:
                yield Progress(phase="translate", current=total, total=total)
        yield Translation(texts=tuple(texts))
