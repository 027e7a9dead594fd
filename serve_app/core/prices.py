"""What the work of models costs."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from serve_app.core.amounts import Amounts
from serve_app.core.options.engine import Section

MILLION = 1_000_000
REMEMBERED = 10_000
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(Section):
    """The price of the models whose ids fit `model`, in which `*` stands for any characters:
    `gpt-*`, or `openai/*` for all of a provider. Tokens are priced per million. Cached tokens of a
    prompt cost `cached_tokens`; null is as much as others.
    """

    model: str = Field(min_length=1, max_length=300)
    prompt_tokens: Rate = 0
    completion_tokens: Rate = 0
    cached_tokens: Rate | None = None
    image: Rate = 0
    audio_second: Rate = 0
    video_second: Rate = 0

    def of(self, amounts: Amounts) -> float:
        """What they cost."""
        cached = min(amounts.cached_tokens, amounts.prompt_tokens)
        cached_rate = self.prompt_tokens if self.cached_tokens is None else self.cached_tokens
        tokens = (
            (amounts.prompt_tokens - cached) * self.prompt_tokens
            + cached * cached_rate
            + amounts.completion_tokens * self.completion_tokens
        )
        return (
            tokens / MILLION
            + amounts.images * self.image
            + amounts.audio_s * self.audio_second
            + amounts.video_s * self.video_second
        )


LEAST_DAYS = 32
"""Budgets are of a month."""


class UsageSettings(Section):
    """What is counted of every token, user and model. `prices` give it a cost, in `currency`, which
    is a mere label: of those that fit a model, the first counts. `prices` is a list of objects with
    `model`, `prompt_tokens`, `completion_tokens`, `cached_tokens`, `image`, `audio_second` and
    `video_second`. Days are kept for `keep_days`, without it for ever; what they add up to for a
    model stays.
    """

    currency: str = Field(default="USD", min_length=1, max_length=20)
    keep_days: int | None = Field(default=None, ge=LEAST_DAYS, le=36_500)
    prices: tuple[Price, ...] = ()


class Pricing:
    """Prices by the id of a model."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._prices = tuple(prices)
        self._found: dict[str, Price | None] = {}

    def cost(self, model: str, amounts: Amounts) -> float:
        """0 for a model without a price."""
        if not self._prices:
            return 0.0
        if model not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            fitting = (price for price in self._prices if fnmatchcase(model, price.model))
            self._found[model] = next(fitting, None)
        price = self._found[model]
        return 0.0 if price is None else price.of(amounts)


FREE = Pricing(())
"""Without any prices."""
