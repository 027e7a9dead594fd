"""From logits to the next token: penalties, bias, filters, and the draw.

Rows are the choices of one request; `logits` are float32 of shape (choices, vocabulary).
"""

from dataclasses import dataclass, field

import torch

from deployments.text.generation.filters import FILTERS, ORDER
from deployments.text.generation.mirostat import Mirostat
from serve_app.core.options.sampling import SettledSampling

GREEDY_BELOW = 1e-5
LARGEST = 1e30
"""Of a penalised logit, which the lowest temperature still leaves finite."""


@dataclass
class SamplingRow:
    """One choice's own randomness and what it has said so far, prompt included and excluded."""

    generator: torch.Generator
    prompt: torch.Tensor
    generated: list[int] = field(default_factory=list)
    _mirostat: Mirostat | None = None

    def mirostat(self, sampling: SettledSampling) -> Mirostat:
        """The state of Mirostat, which lasts over the whole answer."""
        if self._mirostat is None:
            self._mirostat = Mirostat(
                sampling.mirostat, tau=sampling.mirostat_tau, eta=sampling.mirostat_eta
            )
        return self._mirostat


def rows_for(
    sampling: SettledSampling, prompt: list[int], count: int, device: torch.device
) -> list[SamplingRow]:
    """Choice `i` draws with `seed + i`, so that it does not depend on the other choices."""
    ids = torch.tensor(prompt, dtype=torch.long, device=device)
    rows = []
    for index in range(count):
        generator = torch.Generator(device=device)
        if sampling.seed is None:
            generator.seed()
        else:
            generator.manual_seed((sampling.seed + index) % 2**63)
        rows.append(SamplingRow(generator, ids))
    return rows


def penalized(logits: torch.Tensor, sampling: SettledSampling, row: SamplingRow) -> torch.Tensor:
    """One row's logits after penalties and bias.

    Presence and frequency count generated tokens only, as OpenAI's reference formula
    (mu[j] - c[j] * frequency - (c[j] > 0) * presence). The repeat penalty is CTRL's
    (arXiv:1909.05858), over the last tokens of prompt and output: positive logits are divided,
    negative multiplied.
    """
    if sampling.samplers is None or "penalties" in sampling.samplers:
        _penalize(logits, sampling, row)
    for token, bias in sampling.logit_bias.items():
        logits[token] += bias
    return logits


def _penalize(logits: torch.Tensor, sampling: SettledSampling, row: SamplingRow) -> None:
    said = torch.tensor(row.generated, dtype=torch.long, device=logits.device)
    if sampling.repeat_penalty != 1.0 and sampling.repeat_last_n != 0:
        last = torch.cat([row.prompt, said])[-(sampling.repeat_last_n or 0) :]
        seen = torch.unique(last)
        values = logits[seen]
        factor = sampling.repeat_penalty
        # Bounded, because a tiny factor makes infinities, and of these no probabilities.
        punished = torch.where(values > 0, values / factor, values * factor)
        logits[seen] = punished.clamp(-LARGEST, LARGEST)
    if row.generated and (sampling.presence_penalty or sampling.frequency_penalty):
        tokens, counts = torch.unique(said, return_counts=True)
        logits[tokens] -= sampling.presence_penalty + sampling.frequency_penalty * counts


def choose(logits: torch.Tensor, sampling: SettledSampling, row: SamplingRow) -> int:
    """Draw one token from one row of penalised (and constrained) logits."""
    names = ORDER if sampling.samplers is None else sampling.samplers
    is_coldest = sampling.temperature < GREEDY_BELOW and "temperature" in names
    if is_coldest or (sampling.top_k == 1 and "top_k" in names):
        return int(logits.argmax())
    if sampling.mirostat:
        return row.mirostat(sampling).draw(logits / sampling.temperature, row.generator)
    for name in names:
        if name in FILTERS:
            logits = FILTERS[name](logits, sampling)
    return int(torch.multinomial(torch.softmax(logits, dim=-1), 1, generator=row.generator))
