"""The decode loop for everything that continuous batching does not know: one request at a time,
its choices as rows of one batch, one forward pass a step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from deployments.text.generation.constraint import Constraint
from deployments.text.generation.sampling import SamplingRow, choose, penalized, rows_for
from serve_app.core.options.sampling import SettledSampling

STRETCH = 256
"""Tokens of a prompt whose probabilities are held at once."""


@dataclass(frozen=True)
class Step:
    """A token chosen for a choice, with its log probability and the alternatives (id, value).

    `is_last` says that the model ended here; `token` is then not part of the text.
    """

    index: int
    token: int
    is_last: bool = False
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Decoding:
    """What to decode: prompt ids (and, for images, further inputs of the first pass), how many
    choices, at most how many tokens each, under which constraint.
    """

    prompt: list[int]
    sampling: SettledSampling
    choices: int
    limit: int
    eos_ids: frozenset[int]
    constraint: Constraint | None = None
    inputs: dict[str, Any] | None = None


class DecodeLoop:
    """Runs Decodings on a causal model. Blocks; call it in a thread."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device = model.device

    @torch.inference_mode()
    def steps(
        self, what: Decoding, is_cancelled: Callable[[], bool], is_open: list[bool]
    ) -> Iterator[Step]:
        """The chosen tokens of all choices, interleaved, until each has ended or `limit` is
        reached. The caller closes a choice early in `is_open`. Closed rows are carried along,
        because a batch cannot shrink cheaply.
        """
        rows = rows_for(what.sampling, what.prompt, what.choices, self._device)
        constraints = [what.constraint.copy() if what.constraint else None for _ in rows]
        logits, cache = self._prefill(what)
        for _ in range(what.limit):
            tokens = []
            for index, row in enumerate(rows):
                if not is_open[index]:
                    tokens.append(0)
                    continue
                step = _step(index, logits[index].float(), what, row, constraints[index])
                tokens.append(step.token)
                is_open[index] = not step.is_last
                yield step
            if not any(is_open) or is_cancelled():
                return
            output = self._model(
                input_ids=torch.tensor(tokens, device=self._device).unsqueeze(1),
                past_key_values=cache,
                use_cache=True,
            )
            logits, cache = output.logits[:, -1], output.past_key_values

    @torch.inference_mode()
    def prompt_logprobs(self, prompt: list[int], count: int) -> list[Step]:
        """The log probability of every prompt token but the first, which has none. A stretch at a
        time, because the numbers for a whole long prompt take gigabytes.
        """
        steps = [Step(0, prompt[0])]
        cache: Any = None
        for start in range(0, len(prompt), STRETCH):
            ids = torch.tensor([prompt[start : start + STRETCH]], device=self._device)
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            logprobs = torch.log_softmax(output.logits[0].float(), dim=-1)
            for position, token in enumerate(prompt[start + 1 : start + 1 + STRETCH]):
                steps.append(_with_logprobs(0, token, logprobs[position], count))
        return steps

    def _prefill(self, what: Decoding) -> tuple[torch.Tensor, Any]:
        """One pass over the prompt, repeated for the choices only afterwards."""
        ids = torch.tensor([what.prompt], device=self._device)
        output = self._model(input_ids=ids, use_cache=True, logits_to_keep=1, **(what.inputs or {}))
        cache = output.past_key_values
        if what.choices > 1:
            cache.batch_repeat_interleave(what.choices)
        return output.logits[:, -1].expand(what.choices, -1), cache


def _step(
    index: int,
    logits: torch.Tensor,
    what: Decoding,
    row: SamplingRow,
    constraint: Constraint | None,
) -> Step:
    """Log probabilities are of the model's own distribution, before any change to it."""
    raw = torch.log_softmax(logits, dim=-1) if what.sampling.logprobs is not None else None
    adjusted = penalized(logits.clone(), what.sampling, row)
    if constraint is not None:
        adjusted = constraint.apply(adjusted)
    elif what.sampling.ignore_eos:
        adjusted[list(what.eos_ids)] = -torch.inf
    token = choose(adjusted, what.sampling, row)
    row.generated.append(token)
    if constraint is not None:
        constraint.consume(token)
    if token in what.eos_ids:
        return Step(index, token, is_last=True)
    if raw is None:
        return Step(index, token)
    return _with_logprobs(index, token, raw, what.sampling.logprobs or 0)


def _with_logprobs(index: int, token: int, logprobs: torch.Tensor, count: int) -> Step:
    values, ids = torch.topk(logprobs, count) if count else (torch.empty(0), torch.empty(0))
    top = tuple((int(i), float(value)) for i, value in zip(ids, values, strict=True))
    return Step(index, token, logprob=float(logprobs[token]), top=top)
