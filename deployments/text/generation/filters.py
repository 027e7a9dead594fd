"""What narrows a distribution before a token is drawn. Each filter takes the logits of one row,
with those already ruled out at minus infinity, and rules out more; the likeliest always stays.
"""

from collections.abc import Callable, Mapping

import torch

from serve_app.core.options.sampling import SettledSampling
from serve_app.core.text.chat import Sampler

ORDER: tuple[Sampler, ...] = ("penalties", "temperature", "top_k", "typ_p", "min_p", "top_p")
"""Penalties come first in any order: they are applied before a grammar is."""


def temperature(logits: torch.Tensor, sampling: SettledSampling) -> torch.Tensor:
    """Sharpen or flatten; rules nothing out."""
    return logits / sampling.temperature


def top_k(logits: torch.Tensor, sampling: SettledSampling) -> torch.Tensor:
    """Keep the `top_k` best."""
    if not sampling.top_k or sampling.top_k >= logits.numel():
        return logits
    floor = torch.topk(logits, sampling.top_k).values[-1]
    return logits.masked_fill(logits < floor, -torch.inf)


def min_p(logits: torch.Tensor, sampling: SettledSampling) -> torch.Tensor:
    """Keep what is at least `min_p` times as likely as the likeliest."""
    if not sampling.min_p:
        return logits
    probabilities = torch.softmax(logits, dim=-1)
    floor = probabilities.max() * sampling.min_p
    return logits.masked_fill(probabilities < floor, -torch.inf)


def top_p(logits: torch.Tensor, sampling: SettledSampling) -> torch.Tensor:
    """Keep the smallest set of tokens whose mass reaches `top_p` of the whole."""
    if sampling.top_p >= 1.0:
        return logits
    probabilities = torch.softmax(logits, dim=-1)
    return _kept(logits, probabilities, probabilities.sort(descending=True)[1], sampling.top_p)


def typical(logits: torch.Tensor, sampling: SettledSampling) -> torch.Tensor:
    """Keep the tokens whose surprise is nearest to the expected one, until their mass reaches
    `typical_p` (arXiv:2202.00666).
    """
    if sampling.typical_p is None or sampling.typical_p >= 1.0:
        return logits
    logprobs = torch.log_softmax(logits, dim=-1)
    probabilities = logprobs.exp()
    entropy = -(probabilities * logprobs).nansum()
    order = (-logprobs - entropy).abs().sort()[1]
    return _kept(logits, probabilities, order, sampling.typical_p)


def _kept(
    logits: torch.Tensor, probabilities: torch.Tensor, order: torch.Tensor, mass: float
) -> torch.Tensor:
    """The logits of the first tokens of an order until their mass is reached, at least one."""
    ordered = probabilities[order]
    outside = ordered.cumsum(-1) - ordered >= mass
    outside[0] = False
    return logits.index_fill(-1, order[outside], -torch.inf)


FILTERS: Mapping[Sampler, Callable[[torch.Tensor, SettledSampling], torch.Tensor]] = {
    "temperature": temperature,
    "top_k": top_k,
    "typ_p": typical,
    "min_p": min_p,
    "top_p": top_p,
}
