"""How much of everything that is counted, and priced, a piece of work has used."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from serve_app.core.message import Message

Ran = tuple[str, str]
"""The id of a model that has worked, and the provider whose it is; `""` for one of this server."""
LOCAL = ""


@dataclass(slots=True)
class Amounts:
    """Cached tokens are a part of the prompt's, reasoning tokens a part of the completion's."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    audio_s: float = 0.0
    video_s: float = 0.0
    cost: float = 0.0

    def add(self, other: "Amounts") -> None:
        """Take in another's."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.images += other.images
        self.audio_s += other.audio_s
        self.video_s += other.video_s
        self.cost += other.cost

    @property
    def tokens(self) -> int:
        """Of prompts and completions."""
        return self.prompt_tokens + self.completion_tokens

    def counted(self) -> dict[str, float]:
        """What there is any of, by name."""
        return {name: amount for name in AMOUNTS if (amount := getattr(self, name))}


AMOUNTS: tuple[str, ...] = tuple(field.name for field in fields(Amounts))


class UsedModel(Message):
    """What of one model was used, as it is recorded with a stage."""

    model: str
    provider: str = LOCAL
    amounts: dict[str, float]


class UsedModels:
    """Amounts by the models that have worked."""

    def __init__(self) -> None:
        self.by_model: dict[Ran, Amounts] = {}

    def add(self, ran: Ran, amounts: Amounts) -> None:
        """A model has worked."""
        known = self.by_model.get(ran)
        if known is None:
            known = self.by_model[ran] = Amounts()
        known.add(amounts)

    def merge(self, others: Mapping[Ran, Amounts]) -> None:
        """Add another's."""
        for ran, amounts in others.items():
            self.add(ran, amounts)

    def recorded(self) -> tuple[UsedModel, ...]:
        """For `read`."""
        return tuple(
            UsedModel(model=model, provider=provider, amounts=amounts.counted())
            for (model, provider), amounts in self.by_model.items()
        )

    def read(self, records: tuple[UsedModel, ...]) -> None:
        """Add what `recorded` gave."""
        for each in records:
            known = {name: each.amounts[name] for name in AMOUNTS if name in each.amounts}
            self.add((each.model, each.provider), _amounts(known))


def _amounts(known: Mapping[str, float]) -> Amounts:
    amounts = Amounts()
    for name, amount in known.items():
        setattr(amounts, name, type(getattr(amounts, name))(amount))
    return amounts
