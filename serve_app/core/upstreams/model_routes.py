"""Which models a request may be answered by, in the order in which they are tried.

A name means a model of the configuration before it means `<provider>/<upstream id>`: whoever
registers a provider must not take a configured model's place.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from serve_app.core.errors import ModelNotFound
from serve_app.core.message import Message
from serve_app.core.upstreams.provider_names import LONGEST_NAME, is_name

SEPARATOR = "/"


class UpstreamModel(Message):
    """A model of a provider, by the id that the provider has for it, which may have slashes."""

    provider: str
    model: str

    @property
    def id(self) -> str:
        """What clients call it."""
        return f"{self.provider}{SEPARATOR}{self.model}"


class WeightedModel(Message):
    """A model that has a share of the requests."""

    model: str = Field(min_length=1)
    weight: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 1


class ModelRoute(Message):
    """An alias for several models: one of `models` is drawn by weight, and the others of them, then
    `fallbacks` in their order, are tried where it fails.
    """

    name: str = Field(min_length=1)
    models: tuple[WeightedModel, ...] = Field(min_length=1)
    fallbacks: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _something_can_be_chosen(self) -> Self:
        if not any(each.weight for each in self.models):
            raise ValueError(f"route {self.name!r}: no model has a weight above 0")
        return self

    def in_order(self, draw: float) -> tuple[str, ...]:
        """Every model once; `draw` is a random number from 0 up to, but not, 1. Of the models that
        were not drawn, those with a larger weight come first; those without any come last.
        """
        rest, point = [*self.models], draw * sum(each.weight for each in self.models)
        drawn = next((each for each in rest if (point := point - each.weight) < 0), None)
        # A sum of floats may be a little larger than its parts one after the other.
        drawn = drawn or max(rest, key=lambda each: each.weight)
        others = sorted(rest, key=lambda each: (each is not drawn, -each.weight))
        return tuple(dict.fromkeys((*(each.model for each in others), *self.fallbacks)))


def upstream_model(name: str) -> UpstreamModel | None:
    """The provider and its model that a name spells, None where it spells neither."""
    provider, _, model = name.partition(SEPARATOR)
    if not model or len(provider) > LONGEST_NAME or not is_name(provider):
        return None
    return UpstreamModel(provider=provider, model=model)


class ModelRouter:
    """`is_configured` says whether a name is of the configuration, as id or alias of a model."""

    def __init__(
        self, routes: Sequence[ModelRoute], *, is_configured: Callable[[str], bool]
    ) -> None:
        self._routes = {route.name: route for route in routes}
        self._is_configured = is_configured

    def candidates(
        self, name: str, *, providers: Collection[str], draw: Callable[[], float]
    ) -> tuple[str | UpstreamModel, ...]:
        """What may answer for a name, in order: configured models by the name that they were asked
        for, and models of the enabled `providers`. What is not there any more is left out;
        ModelNotFound where nothing is left.
        """
        found: dict[str, str | UpstreamModel] = {}
        for each in self._expanded(name, draw, set()):
            known = self._known(each, providers)
            if known is not None:
                found.setdefault(each, known)
        if not found:
            raise ModelNotFound(f"unknown model {name[:200]!r}", param="model")
        return tuple(found.values())

    def _known(self, name: str, providers: Collection[str]) -> str | UpstreamModel | None:
        if self._is_configured(name):
            return name
        upstream = upstream_model(name)
        return upstream if upstream is not None and upstream.provider in providers else None

    def _expanded(self, name: str, draw: Callable[[], float], seen: set[str]) -> list[str]:
        """The names that an alias stands for, where they are aliases too, theirs. Inside of itself
        an alias is the model of that name: so one can have fall-backs under its own name.
        """
        route = self._routes.get(name)
        if route is None or name in seen:
            return [name]
        seen.add(name)
        names = route.in_order(draw())
        return [each for inner in names for each in self._expanded(inner, draw, seen)]
