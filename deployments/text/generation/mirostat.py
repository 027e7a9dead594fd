"""Mirostat: draws so that the surprise of an answer's tokens stays near a target
(arXiv:2007.14966). Version 1 estimates how steeply probabilities fall, version 2 does without.
"""

import math
from itertools import pairwise
from typing import Literal

import torch

OBSERVED = 100
"""Of the best tokens, from which version 1 estimates the exponent of Zipf's law."""


class Mirostat:
    """The state of one answer. `tau` is the target in bits, `eta` how quickly it is followed."""

    def __init__(self, version: Literal[0, 1, 2], *, tau: float, eta: float) -> None:
        self._version = version
        self._tau = tau
        self._eta = eta
        self._mu = 2 * tau

    def draw(self, logits: torch.Tensor, generator: torch.Generator) -> int:
        """The next token."""
        probabilities, tokens = torch.softmax(logits, dim=-1).sort(descending=True)
        size = self._by_zipf(probabilities) if self._version == 1 else self._by_mu(probabilities)
        kept = probabilities[:size] / probabilities[:size].sum()
        place = int(torch.multinomial(kept, 1, generator=generator))
        surprise = -math.log2(max(float(kept[place]), 1e-30))
        self._mu -= self._eta * (surprise - self._tau)
        return int(tokens[place])

    def _by_mu(self, probabilities: torch.Tensor) -> int:
        """How many tokens are no more surprising than the bound, at least one."""
        return max(1, int((-probabilities.log2() <= self._mu).sum()))

    def _by_zipf(self, probabilities: torch.Tensor) -> int:
        """How many tokens make the expected surprise the bound, if Zipf's law holds."""
        best = [value for value in probabilities[:OBSERVED].tolist() if value > 0]
        steps = [math.log((i + 2) / (i + 1)) for i in range(len(best) - 1)]
        falls = [math.log(high / low) for high, low in pairwise(best)]
        if not steps or not any(falls):
            return self._by_mu(probabilities)
        pairs = zip(steps, falls, strict=True)
        exponent = sum(t * b for t, b in pairs) / sum(t * t for t in steps)
        rest = exponent - 1
        bottom = 1 - probabilities.numel() ** -rest
        if exponent <= 0 or bottom == 0 or rest / bottom <= 0:
            return self._by_mu(probabilities)
        power = (math.log(rest / bottom) + self._mu * math.log(2)) / exponent
        return max(1, min(probabilities.numel(), int(math.exp(min(power, 30)))))
