"""Translation by transformers: Marian, M2M100 and NLLB."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from deployments.model_engine import WorkerEngine
from deployments.text.translation_languages import tag_of
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.translation import Translate, Translation, TranslationEvent, Translator
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

if TYPE_CHECKING:
    from deployments.text.translation_checkpoint import IsStopped, SourceSentence, TranslatedPart

T = TypeVar("T")
MOST_PIECES = 64


class TransformersTranslation(WorkerEngine[TransformersOptions], Translator):
    """A Translator. Requests take turns, batch by batch."""

    def __init__(
        self,
        options: TransformersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.translation_checkpoint import TranslationCheckpoint

        self._checkpoint = TranslationCheckpoint(options, model, path)
        self._most_tokens = options.max_batch_tokens
        self.context_length = self._checkpoint.limit
        self.translation_facts = self._checkpoint.languages.facts

    async def close(self) -> None:
        """Refuse what waits for the thread."""
        await super().close()

    @override
    async def translate(self, request: Translate) -> AsyncGenerator[TranslationEvent]:
        """Long texts are translated by the sentence."""
        source, target = request.source_language, request.target_language
        if source is not None and tag_of(source) == tag_of(target):
            yield Translation(texts=request.texts)
            return
        route = self._checkpoint.languages.route(source, target, needs_source=bool(request.texts))
        read = await self._worked(partial(self._checkpoint.pieces, request.texts, route))
        pieces = [piece for text in read for piece in text]
        made: dict[int, TranslatedPart] = {}
        for batch in batches(pieces, self._most_tokens):
            chosen = [pieces[at] for at in batch]
            (answers,) = await self._worked(partial(self._checkpoint.translated, chosen, route))
            made |= dict(zip(batch, answers, strict=True))
            yield Progress(phase="translate", current=len(made), total=len(pieces))
        yield joined(len(request.texts), pieces, made, " " if route.is_spaced else "")

    async def _worked(self, work: Callable[["IsStopped"], Iterator[T]]) -> list[T]:
        """What blocks, in the thread; it is told when nobody waits any more."""
        items = in_thread(work, self.worker)
        async with closing(items):
            return [item async for item in items]


def batches(pieces: Sequence["SourceSentence"], most_tokens: int) -> Iterator[list[int]]:
    """The places of pieces that are translated at once: of like length, the longest first, and no
    more than so many tokens with their padding. One piece alone may have more.
    """
    by_length = sorted(range(len(pieces)), key=lambda at: -len(pieces[at].tokens))
    batch: list[int] = []
    for at in by_length:
        longest = len(pieces[batch[0]].tokens) if batch else 0
        is_full = longest * (len(batch) + 1) > most_tokens or len(batch) == MOST_PIECES
        if batch and is_full:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def joined(
    count: int, pieces: Sequence["SourceSentence"], made: dict[int, "TranslatedPart"], space: str
) -> Translation:
    """The texts of their pieces. A piece without a translation stays as it is."""
    texts: list[list[str]] = [[] for _ in range(count)]
    kept: dict[int, None] = {}
    cut: dict[int, None] = {}
    for at, piece in enumerate(pieces):
        words, is_cut = made[at]
        texts[piece.text].append(words or piece.words)
        if not words:
            kept[piece.text] = None
        elif is_cut:
            cut[piece.text] = None
    return Translation(
        texts=tuple(space.join(parts) for parts in texts), kept=tuple(kept), cut=tuple(cut)
    )
