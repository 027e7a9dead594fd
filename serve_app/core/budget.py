"""What a token may use of models on a day or in a month (UTC)."""

import logging
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.core.amounts import Amounts

logger = logging.getLogger(__name__)

Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Quantity = Annotated[float, Field(ge=0, lt=2**53, allow_inf_nan=False)]


class AmountLimits(BaseModel):
    """What may be used; null is no limit. `tokens` are those of prompts and completions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Count | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    requests: Count | None = None
    images: Count | None = None
    audio_seconds: Quantity | None = None
    video_seconds: Quantity | None = None
    cost: Quantity | None = None

    def reached(self, used: Amounts) -> tuple[str, float, float] | None:
        """The first of them that is used up, with what was used and what may be."""
        for name, amount in (
            ("tokens", used.tokens),
            ("prompt_tokens", used.prompt_tokens),
            ("completion_tokens", used.completion_tokens),
            ("requests", used.requests),
            ("images", used.images),
            ("audio_seconds", used.audio_s),
            ("video_seconds", used.video_s),
            ("cost", used.cost),
        ):
            limit: float | None = getattr(self, name)
            # Sums of floats may be a little below what they are the sum of.
            if limit is not None and amount >= limit * (1 - 1e-9):
                return name, amount, limit
        return None


class Budget(BaseModel):
    """The limits of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: AmountLimits | None = None
    month: AmountLimits | None = None

    def shown(self) -> dict[str, Any]:
        """The limits that there are."""
        content = self.model_dump(exclude_none=True)
        return {period: limits for period, limits in content.items() if limits}


def stored_budget(content: object) -> Budget | None:
    """The budget of a row. One that a later version wrote limits nothing, which the log says."""
    if content is None:
        return None
    try:
        return Budget.model_validate(content)
    except ValidationError as error:
        logger.error("a token's budget cannot be read and is not enforced: %s", error)
        return None
