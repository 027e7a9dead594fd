"""Prompts with weights as the embeddings that pipelines with CLIP encoders take.

As in https://github.com/AUTOMATIC1111/stable-diffusion-webui: chunks of as many tokens as the
encoder reads, each read by itself; the vectors of a word are scaled by its weight, and all of a
chunk so that their mean stays.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from deployments.image.learned_words import LearnedWords
from deployments.media.weighted_prompts import WeightedText, weighted_texts

PiecesOf = Callable[[str], Iterable[str | list[int]]]
LEAST = 1e-4
COMMA_TOKENS = 20
"""A chunk that ends within so many tokens after a comma ends at the comma."""


@dataclass
class Chunk:
    """Tokens that are read together, and the weight of each."""

    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


class WeightedEmbeddings:
    """For the CLIP encoders of one pipeline: one as in Stable Diffusion, two as in SDXL. Of the
    learned `words` those with the `names` count.
    """

    def __init__(
        self, pipeline: Any, words: LearnedWords | None = None, names: Sequence[str] = ()
    ) -> None:
        self._pipeline = pipeline
        self._words = words
        self._names = names
        self._encoders = [(pipeline.tokenizer, pipeline.text_encoder)]
        second = getattr(pipeline, "text_encoder_2", None)
        if second is not None:
            self._encoders.append((pipeline.tokenizer_2, second))

    def arguments(
        self,
        prompts: Sequence[str],
        negatives: Sequence[str | None],
        *,
        clip_skip: int = 1,
        weighs_words: bool = True,
    ) -> dict[str, Any]:
        """What the pipeline is called with in the place of prompts, one row for each."""
        parts_of = weighted_texts if weighs_words else _unweighted
        is_zero = getattr(self._pipeline.config, "force_zeros_for_empty_prompt", False)
        texts = [*prompts, *(text or "" for text in negatives)]
        columns, pooled = [], None
        with self._words.known() if self._words else nullcontext():
            for tokenizer, encoder in self._encoders:
                chunked = [self._chunks(parts_of(text), tokenizer) for text in texts]
                count = max(map(len, chunked))
                read = [self._read(each, count, tokenizer, encoder, clip_skip) for each in chunked]
                columns.append(torch.cat([vectors for vectors, _ in read]))
                pooled = [summary for _, summary in read]
        width = len(prompts)
        vectors = torch.cat(columns, dim=-1)
        result = {"prompt_embeds": vectors[:width], "negative_prompt_embeds": vectors[width:]}
        if len(self._encoders) > 1 and pooled is not None:
            summaries = torch.cat(pooled)
            result["pooled_prompt_embeds"] = summaries[:width]
            result["negative_pooled_prompt_embeds"] = summaries[width:]
        if is_zero and not any(negatives):
            for name in [name for name in result if name.startswith("negative")]:
                result[name] = torch.zeros_like(result[name])
        return result

    def _chunks(self, parts: Sequence[WeightedText], tokenizer: Any) -> list[Chunk]:
        if self._words is None or not self._names:
            return chunks_of(parts, tokenizer)
        words, names = self._words, self._names
        return chunks_of(parts, tokenizer, lambda text: words.pieces(text, names))

    def _read(
        self, chunks: list[Chunk], count: int, tokenizer: Any, encoder: Any, clip_skip: int
    ) -> tuple[torch.Tensor, Any]:
        """The vectors of all chunks one after the other, and the summary of the first."""
        chunks = [*chunks, *(Chunk() for _ in range(count - len(chunks)))]
        rows, summaries = [], []
        before, after = _marks(tokenizer)
        size = tokenizer.model_max_length
        for chunk in chunks:
            tokens = [*before, *chunk.tokens, *after]
            padding = size - len(tokens)
            ids = torch.tensor([[*tokens, *[tokenizer.pad_token_id] * padding]])
            ids = ids.to(self._pipeline._execution_device)
            vectors, summary = self._encoded(ids, encoder, clip_skip)
            edge = [1.0] * len(before)
            rest = [1.0] * (size - len(before) - len(chunk.weights))
            rows.append(scaled(vectors, [*edge, *chunk.weights, *rest]))
            summaries.append(summary)
        return torch.cat(rows, dim=1), summaries[0]

    def _encoded(self, ids: torch.Tensor, encoder: Any, clip_skip: int) -> tuple[torch.Tensor, Any]:
        """As the pipelines read a prompt."""
        with torch.no_grad():
            if len(self._encoders) == 1 and clip_skip == 1:
                return encoder(ids, attention_mask=None)[0], None
            output = encoder(ids, output_hidden_states=True)
            if len(self._encoders) > 1:
                # Made to be read one layer before the last.
                return output.hidden_states[-max(2, clip_skip)], output[0]
            vectors = output.hidden_states[-clip_skip]
            return getattr(encoder, "text_model", encoder).final_layer_norm(vectors), None


def chunks_of(
    parts: Sequence[WeightedText], tokenizer: Any, pieces_of: PiecesOf = lambda text: [text]
) -> list[Chunk]:
    """At least one. A word that does not fit any more begins the next one, and so does what
    follows a late comma. `pieces_of` a text are texts, and tokens that stay together.
    """
    before, after = _marks(tokenizer)
    room = tokenizer.model_max_length - len(before) - len(after)
    comma = _tokens(tokenizer, ",")[-1:]
    chunks = [Chunk()]
    last_comma = -1
    for part in parts:
        if part.is_break:
            chunks.append(Chunk())
            last_comma = -1
            continue
        for piece in _pieces(pieces_of(part.text), tokenizer, room):
            chunk = chunks[-1]
            end = len(chunk.tokens)
            if end + len(piece) > room:
                tail = end - last_comma - 1
                is_late = last_comma >= 0 < tail <= min(COMMA_TOKENS, room - len(piece))
                cut = end - tail if is_late else end
                chunks.append(Chunk(chunk.tokens[cut:], chunk.weights[cut:]))
                del chunk.tokens[cut:], chunk.weights[cut:]
                chunk, last_comma = chunks[-1], -1
            if piece == comma:
                last_comma = len(chunk.tokens)
            chunk.tokens += piece
            chunk.weights += [part.weight] * len(piece)
    return chunks


def _pieces(pieces: Iterable[str | list[int]], tokenizer: Any, room: int) -> Generator[list[int]]:
    """Tokens that are not to be parted: one alone, or all of a learned word, as far as there is
    room at all.
    """
    for piece in pieces:
        if isinstance(piece, list):
            yield piece[:room]
        elif piece:
            yield from ([token] for token in _tokens(tokenizer, piece))


def _unweighted(prompt: str) -> list[WeightedText]:
    return [WeightedText(prompt, 1.0)] if prompt else []


def _marks(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What a tokenizer puts before and after a text."""
    whole, bare = tokenizer("a").input_ids, _tokens(tokenizer, "a")
    start = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    return whole[:start], whole[start + len(bare) :]


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def scaled(vectors: torch.Tensor, weights: list[float]) -> torch.Tensor:
    """The vectors times their weights, with the mean that they had; one that is nearly nothing is
    no measure.
    """
    if all(weight == 1 for weight in weights):
        return vectors
    factors = torch.tensor(weights, dtype=vectors.dtype, device=vectors.device)
    made = vectors * factors[None, :, None]
    mean = made.mean()
    return made * (vectors.mean() / mean) if mean.abs() > LEAST * made.abs().mean() else made
