"""Prompts that change on the way, and prompts that are made of several."""

import pytest

from deployments.media.prompt_schedules import composed_texts, prompt_stretches
from deployments.media.weighted_prompts import plain_text

STEPS = 10


def stretches(prompt: str, **more: int) -> list[tuple[int, str]]:
    return [tuple(each) for each in prompt_stretches(prompt, STEPS, **more)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [b::3] c", [(3, "a b c"), (10, "a  c")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("[a:b:0.25]", [(2, "a"), (10, "b")]),
        ("[a:b:0]", [(10, "b")]),
        ("[a:b:1.0]", [(10, "a")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:-1]", [(10, "b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("[a:3] [b:5]", [(3, " "), (5, "a "), (10, "a b")]),
    ],
)
def test_a_prompt_changes(prompt: str, expected: list[tuple[int, str]]) -> None:
    assert stretches(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    ["a [unbalanced", "[less] (more:1.2)", r"\[a:b:3\]", "[a:b]", "[a:b:c:3]", "a | b : 3", "]):"],
)
def test_what_says_nothing_of_steps_is_as_it_is(prompt: str) -> None:
    assert stretches(prompt) == [(10, prompt)]


def test_words_take_turns() -> None:
    assert [text for _, text in stretches("[fe|]male")] == ["female", "male"] * 5
    assert [text for _, text in stretches("[a|b|c]")][:4] == ["a", "b", "c", "a"]
    assert stretches("[a|a]") == [(10, "a")]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("[a:b:0.5]", [(10, "b")]),
        ("[a:b:7]", [(10, "b")]),
        ("[a:b:1.5]", [(5, "a"), (10, "b")]),
        ("[a:b:23]", [(3, "a"), (10, "b")]),
    ],
)
def test_a_second_pass_counts_on(prompt: str, expected: list[tuple[int, str]]) -> None:
    assert stretches(prompt, steps_before=20) == expected


def test_brackets_of_any_depth() -> None:
    deep = "[" * 16_000 + ":1]" * 5_000
    assert stretches(deep)[-1][0] == 10
    assert stretches("[x:" * 5_000 + "9" + ":1]" * 5_000)[-1][0] == 10


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("ratio 16:9", [("ratio 16:9", 1.0)]),
        ("a cat AND a dog", [("a cat", 1.0), ("a dog", 1.0)]),
        (
            "a cat :1.2 AND a dog AND (x:2) :-.5",
            [("a cat", 1.2), ("a dog", 1.0), ("(x:2)", -0.5)],
        ),
        ("SAND and LAND", [("SAND and LAND", 1.0)]),
        ("AND", [("", 1.0), ("", 1.0)]),
    ],
)
def test_a_prompt_is_made_of_several(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert [tuple(each) for each in composed_texts(prompt)] == expected


def test_a_plain_text_has_no_notation() -> None:
    assert plain_text("a [red:green:0.25] (boat:1.3) AND a [house|hut] :0.5") == (
        "a green boat, a house"
    )
