"""From logits to the next token: penalties, bias, filters, log probabilities.

Rows are the choices of one request; `logits` are float32 of shape (choices, vocabulary).
"""

from dataclasses import dataclass, field

import torch

from serve_app.core.text.chat import Sampling

GREEDY_BELOW = 1e-5
LARGEST = 1e30
"""Of a penalised logit, which the lowest temperature still leaves finite."""


@dataclass
class SamplingRow:
    """One choice's own randomness and what it has said so far, prompt included and excluded."""

    generator: torch.Generator
    prompt: torch.Tensor
    generated: list[int] = field(default_factory=list)


def rows_for(
    sampling: Sampling, prompt: list[int], count: int, device: torch.device
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


def penalized(logits: torch.Tensor, sampling: Sampling, row: SamplingRow) -> torch.Tensor:
    """One row's logits after penalties and bias.

    Presence and frequency count generated tokens only, as OpenAI's reference formula
    (mu[j] - c[j] * frequency - (c[j] > 0) * presence). The repeat penalty is CTRL's
    (arXiv:1909.05858), over prompt and output: positive logits are divided, negative multiplied.
    """
    if sampling.repeat_penalty != 1.0:
        said = torch.tensor(row.generated, dtype=torch.long, device=logits.device)
        seen = torch.unique(torch.cat([row.prompt, said]))
        values = logits[seen]
        factor = sampling.repeat_penalty
        # Bounded, because a tiny factor makes infinities, and of these no probabilities.
        punished = torch.where(values > 0, values / factor, values * factor)
        logits[seen] = punished.clamp(-LARGEST, LARGEST)
    if row.generated and (sampling.presence_penalty or sampling.frequency_penalty):
        said = torch.tensor(row.generated, dtype=torch.long, device=logits.device)
        tokens, counts = torch.unique(said, return_counts=True)
        logits[tokens] -= sampling.presence_penalty + sampling.frequency_penalty * counts
    for token, bias in sampling.logit_bias.items():
        logits[token] += bias
    return logits


def choose(logits: torch.Tensor, sampling: Sampling, row: SamplingRow) -> int:
    """Draw one token from one row of penalised (and constrained) logits."""
    if sampling.temperature < GREEDY_BELOW or sampling.top_k == 1:
        return int(logits.argmax())
    logits = logits / sampling.temperature
    if sampling.top_k and sampling.top_k < logits.numel():
        floor = torch.topk(logits, sampling.top_k).values[-1]
        logits = logits.masked_fill(logits < floor, -torch.inf)
    probabilities = torch.softmax(logits, dim=-1)
    if sampling.min_p:
        floor = probabilities.max() * sampling.min_p
        probabilities = probabilities.masked_fill(probabilities < floor, 0.0)
    if sampling.top_p < 1.0:
        probabilities = _nucleus(probabilities, sampling.top_p)
    return int(torch.multinomial(probabilities, 1, generator=row.generator))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """The smallest set of tokens whose mass reaches `top_p` of the whole, the best one always."""
    ordered, index = probabilities.sort(descending=True)
    mass_before = ordered.cumsum(-1) - ordered
    outside = mass_before >= top_p * ordered.sum()
    outside[0] = False
    kept = ordered.masked_fill(outside, 0.0)
    return torch.zeros_like(probabilities).scatter(-1, index, kept)
