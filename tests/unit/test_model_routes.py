"""Which models are tried for a name, in which order, and with which keys."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve_app.core.errors import ModelNotFound
from serve_app.core.upstreams.key_rotation import (
    BUSY_PAUSE_S,
    LONGEST_PAUSE_S,
    REFUSED_PAUSE_S,
    KeyRotation,
)
from serve_app.core.upstreams.model_routes import (
    ModelRoute,
    ModelRouter,
    UpstreamModel,
    upstream_model,
)

LOCAL = {"starter", "org/eye"}


def route(name: str, *models: Any, fallbacks: tuple[str, ...] = ()) -> ModelRoute:
    given = [each if isinstance(each, dict) else {"model": each} for each in models]
    return ModelRoute.model_validate({"name": name, "models": given, "fallbacks": fallbacks})


def tried(router: ModelRouter, name: str, *, draw: float = 0.0) -> list[str]:
    found = router.candidates(name, providers={"openai", "org"}, draw=lambda: draw)
    return [each.id if isinstance(each, UpstreamModel) else each for each in found]


def router(*routes: ModelRoute) -> ModelRouter:
    return ModelRouter(routes, is_configured=LOCAL.__contains__)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("openai/gpt-5", ("openai", "gpt-5")),
        ("my-router/meta/llama-4:free", ("my-router", "meta/llama-4:free")),
        ("openai/", None),
        ("/gpt-5", None),
        ("gpt-5", None),
        ("", None),
        ("OpenAI/gpt-5", None),
        (f"{'a' * 65}/x", None),
        ("open ai/x", None),
    ],
)
def test_the_provider_stands_before_the_first_slash(
    name: str, found: tuple[str, str] | None
) -> None:
    upstream = upstream_model(name)
    assert (upstream and (upstream.provider, upstream.model)) == found
    assert upstream is None or upstream.id == name


def test_a_configured_model_comes_before_a_provider_of_that_name() -> None:
    (found,) = router().candidates("org/eye", providers={"org"}, draw=lambda: 0.0)
    assert found == "org/eye"
    assert tried(router(), "org/other") == ["org/other"]


@pytest.mark.parametrize("name", ["nothing", "nobody/gpt-5", "openai/", "x" * 10_000])
def test_what_is_neither_is_unknown(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        tried(router(), name)
    assert len(caught.value.message) < 300


def test_fall_backs_are_tried_in_their_order() -> None:
    best = route("best", "starter", fallbacks=("openai/a", "gone/b", "openai/c", "starter"))
    assert tried(router(best), "best") == ["starter", "openai/a", "openai/c"]


def test_a_model_may_have_fall_backs_under_its_own_name() -> None:
    own = route("starter", "starter", fallbacks=("openai/a",))
    assert tried(router(own), "starter") == ["starter", "openai/a"]


def test_an_alias_may_stand_for_aliases_but_not_for_itself() -> None:
    routes = (
        route("a", "b", fallbacks=("openai/last",)),
        route("b", "a", "openai/first", fallbacks=("b", "starter")),
    )
    assert tried(router(*routes), "a") == ["openai/first", "starter", "openai/last"]
    with pytest.raises(ModelNotFound):
        tried(router(route("c", "c")), "c")


def test_many_aliases_of_each_other_end_soon() -> None:
    names = [f"r{number}" for number in range(200)]
    routes = [route(name, *names, "starter") for name in names]
    assert tried(router(*routes), "r0") == ["starter"]


def test_models_are_drawn_by_their_weights() -> None:
    shared = route(
        "shared",
        {"model": "openai/a", "weight": 3},
        {"model": "openai/b", "weight": 1},
        {"model": "openai/never", "weight": 0},
        fallbacks=("starter",),
    )
    first = Counter(shared.in_order(draw / 1000)[0] for draw in range(1000))
    assert first == {"openai/a": 750, "openai/b": 250}
    assert shared.in_order(0.9) == ("openai/b", "openai/a", "openai/never", "starter")


@given(
    weights=st.lists(st.floats(0, 1e6), min_size=1).filter(any),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_every_model_is_tried_once_and_none_without_weight_first(
    weights: list[float], draw: float
) -> None:
    models = [{"model": f"m{n}", "weight": weight} for n, weight in enumerate(weights)]
    order = route("all", *models).in_order(draw)
    assert sorted(order) == sorted(f"m{n}" for n in range(len(weights)))
    assert weights[int(order[0][1:])] > 0


@pytest.mark.parametrize("weights", [(0,), (0, 0), (-1,), (float("nan"),), (float("inf"),)])
def test_weights_that_choose_nothing_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        route("x", *({"model": "m", "weight": weight} for weight in weights))


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_that_was_refused_rests_behind_the_others() -> None:
    ticks = Ticks()
    rotation = KeyRotation(ticks=ticks)
    keys = ("a", "b", "c")
    assert rotation.in_order(keys) == keys
    assert rotation.note("a", 401)
    assert rotation.in_order(keys) == ("b", "c", "a")
    assert rotation.note("b", 429)
    assert rotation.in_order(keys) == ("c", "b", "a")
    assert rotation.note("c", 429, retry_after_s=1)
    # All rest: the one that has to rest least comes first.
    assert rotation.in_order(keys) == ("c", "b", "a")
    ticks.now = BUSY_PAUSE_S
    assert rotation.in_order(keys) == ("b", "c", "a")
    ticks.now = REFUSED_PAUSE_S
    assert rotation.in_order(keys) == keys


def test_only_some_answers_are_about_the_key() -> None:
    ticks = Ticks()
    rotation = KeyRotation(ticks=ticks)
    for status in (200, 400, 404, 500, 503):
        assert not rotation.note("a", status)
    assert rotation.in_order(("a", "b")) == ("a", "b")
    rotation.note("a", 403, retry_after_s=1e9)
    ticks.now = LONGEST_PAUSE_S
    assert rotation.in_order(("a", "b")) == ("a", "b")
    rotation.note("a", 403)
    # It works after all.
    rotation.note("a", 200)
    assert rotation.in_order(("a", "b")) == ("a", "b")
    rotation.note("a", 403)
    rotation.forget_all_but(("b",))
    assert rotation.in_order(("a", "b")) == ("a", "b")
