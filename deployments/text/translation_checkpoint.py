"""Marian, M2M100 and NLLB checkpoints of transformers, as plain blocking calls.

Imported only where torch is.
"""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from deployments.audio.sentences import sentences
from deployments.text.translation_languages import CheckpointLanguages, CodedLanguages, Route
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import (
    check_complete,
    loading,
    loading_arguments,
    token_limit,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.languages import language_code

SENTENCE_TOKENS = 128
"""What is longer is cut into sentences: these models are trained on one at a time."""
LONGEST, SHORTEST = 400, 8
GROWTH, ROOM = 3, 32
"""A translation has at most so many times the tokens of its source, and so many more."""
NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
KIND = "a Marian, M2M100 or NLLB checkpoint"
IsStopped = Callable[[], bool]


class SourceSentence(NamedTuple):
    """What is translated at once: a text, or a sentence of one. `text` is its place."""

    text: int
    words: str
    tokens: list[int]


class TranslatedPart(NamedTuple):
    """A piece's translation, which may lack its end."""

    words: str
    is_cut: bool


class TranslationCheckpoint:
    """One loaded model. Not thread-safe, as its tokenizer keeps the language that it reads."""

    def __init__(self, options: TransformersOptions, model: Model, path: Path | None) -> None:
        self._device = device_of(options)
        with loading(model, path) as directory:
            arguments = loading_arguments(options, self._device)
            self._tokenizer: Any = _tokenizer(options, directory)
            loaded, report = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                directory, output_loading_info=True, **arguments
            )
        check_complete(model, report["missing_keys"], kind=KIND)
        self._ids: dict[str, int] = {}
        self.languages = self._languages(model, loaded)
        self.limit = token_limit(loaded, self._tokenizer, options)
        self._positions = int(loaded.config.max_position_embeddings)
        self._silent = {*self._tokenizer.all_special_ids, *self._ids.values()}
        self._generation = copy.deepcopy(loaded.generation_config)
        self._generation.update(do_sample=False)
        if options.beams is not None:
            self._generation.num_beams = options.beams
        self._network: Any = loaded.to(self._device).eval()

    def pieces(
        self, texts: Sequence[str], route: Route, is_stopped: IsStopped
    ) -> Iterator[list[SourceSentence]]:
        """The pieces of each text in their order, none of one without words."""
        if route.source is not None:
            self._tokenizer.src_lang = route.source
        for place, text in enumerate(texts):
            if is_stopped():
                return
            words = " ".join(text.split())
            yield [SourceSentence(place, part, ids) for part, ids in self._parts(words, route)]

    @torch.inference_mode()
    def translated(
        self, batch: Sequence[SourceSentence], route: Route, is_stopped: IsStopped
    ) -> Iterator[list[TranslatedPart]]:
        """The translations in the order of the pieces; nothing when it is stopped."""
        width = max(len(piece.tokens) for piece in batch)
        room = min(GROWTH * width + ROOM, self._positions - 1)
        tokens = torch.full((len(batch), width), self._tokenizer.pad_token_id)
        mask = torch.zeros_like(tokens)
        for row, piece in enumerate(batch):
            tokens[row, : len(piece.tokens)] = torch.tensor(piece.tokens)
            mask[row, : len(piece.tokens)] = 1
        made = self._network.generate(
            tokens.to(self._device),
            attention_mask=mask.to(self._device),
            generation_config=self._limited(room, route),
            stopping_criteria=transformers.StoppingCriteriaList([_Stop(is_stopped)]),
        )
        if not is_stopped():
            yield [self._read(row, room) for row in made.tolist()]

    def _limited(self, room: int, route: Route) -> Any:
        generation = copy.deepcopy(self._generation)
        # The first token of all is what decoding starts with.
        generation.max_length = room + 1
        if route.target in self._ids:
            generation.forced_bos_token_id = self._ids[route.target]
        return generation

    def _read(self, row: list[int], room: int) -> TranslatedPart:
        ids = row[1:]
        while ids and ids[-1] == self._tokenizer.pad_token_id:
            ids.pop()
        words = self._tokenizer.decode([token for token in ids if token not in self._silent])
        return TranslatedPart(str(words).strip(), is_cut=len(ids) >= room)

    def _parts(self, words: str, route: Route) -> Iterator[tuple[str, list[int]]]:
        if not words:
            return
        tokens = self._tokens(words, route)
        most = min(SENTENCE_TOKENS, self.limit or SENTENCE_TOKENS)
        if len(tokens) <= most:
            yield words, tokens
            return
        for sentence in sentences(words, longest=LONGEST):
            yield from self._short(sentence, route, most, LONGEST)

    def _short(
        self, words: str, route: Route, most: int, longest: int
    ) -> Iterator[tuple[str, list[int]]]:
        """Of a sentence that has too many tokens, parts that have fewer."""
        tokens = self._tokens(words, route)
        if len(tokens) <= most or longest <= SHORTEST:
            yield words, tokens[:most]
            return
        for part in sentences(words, longest=longest // 2):
            yield from self._short(part, route, most, longest // 2)

    def _tokens(self, words: str, route: Route) -> list[int]:
        is_marked = route.target is not None and route.target not in self._ids
        text = f"{route.target} {words}" if is_marked else words
        return list(self._tokenizer(text, truncation=False, verbose=False)["input_ids"])

    def _languages(self, model: Model, loaded: Any) -> CheckpointLanguages:
        kind = loaded.config.model_type
        if kind == "marian":
            return self._fixed(model)
        if kind not in ("m2m_100", "nllb-moe"):
            raise BackendUnavailable(
                f"model {model.id!r} is of the kind {kind!r}", remedy=f"set its source to {KIND}"
            )
        known = getattr(self._tokenizer, "lang_code_to_id", None)
        if known is None:
            added = self._tokenizer.get_added_vocab()
            known = {code: at for code, at in added.items() if NLLB_CODE.fullmatch(code)}
        size = loaded.get_input_embeddings().num_embeddings
        self._ids = {code: at for code, at in known.items() if at < size}
        codes = CodedLanguages(self._ids)
        targets = codes.only(model.languages) if model.languages else codes
        return self._checked(model, codes, targets, names_source=True, names_target=True)

    def _fixed(self, model: Model) -> CheckpointLanguages:
        """Marian: one way, or several targets that the text begins with. A source or a target that
        is a group of languages, such as `mul`, says nothing.
        """
        marks = self._tokenizer.supported_language_codes
        source, target = self._tokenizer.source_lang, self._tokenizer.target_lang
        sources = CodedLanguages([source]) if source and language_code(source) else None
        if marks:
            targets = CodedLanguages(marks)
            targets = targets.only(model.languages) if model.languages else targets
        else:
            one = [target] if target and language_code(target) else []
            targets = CodedLanguages(model.languages or one)
        return self._checked(model, sources, targets, names_source=False, names_target=bool(marks))

    def _checked(
        self,
        model: Model,
        sources: CodedLanguages | None,
        targets: CodedLanguages,
        *,
        names_source: bool,
        names_target: bool,
    ) -> CheckpointLanguages:
        if not targets:
            raise BackendUnavailable(
                f"model {model.id!r} does not declare its target languages",
                remedy="set its languages, such as [de]",
            )
        return CheckpointLanguages(
            model.id,
            sources=sources,
            targets=targets,
            names_source=names_source,
            names_target=names_target,
        )


def _tokenizer(options: TransformersOptions, directory: Path) -> Any:
    try:
        return transformers.AutoTokenizer.from_pretrained(
            directory, trust_remote_code=options.trust_remote_code, local_files_only=True
        )
    except (TypeError, AssertionError) as error:
        # Files that are missing are None to the tokenizers of these models.
        raise ValueError("files of its tokenizer are missing") from error


class _Stop(transformers.StoppingCriteria):
    """Ends a batch that nobody waits for."""

    def __init__(self, is_stopped: IsStopped) -> None:
        self._is_stopped = is_stopped

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ARG002
        count = input_ids.shape[0]
        return torch.full((count,), self._is_stopped(), device=input_ids.device, dtype=torch.bool)
