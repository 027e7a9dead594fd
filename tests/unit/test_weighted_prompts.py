"""Weights in prompts."""

import pytest

from deployments.media.weighted_prompts import plain_text, weighted_texts


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        ("a [b] c", [("a ", 1.0), ("b", 1 / 1.1), (" c", 1.0)]),
        ("a BREAK b", [("a ", 1.0), ("", 1.0), (" b", 1.0)]),
        ("BREAKfast: x)", [("BREAKfast: x)", 1.0)]),
        ("(a : 1.5 )", [("a ", 1.5)]),
        ("", []),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1.0),
                ("house", 1.5730000000000004),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641000000000006),
                (".", 1.1),
            ],
        ),
    ],
)
def test_weights(prompt: str, parts: list[tuple[str, float]]) -> None:
    """The examples of the program that the notation comes from."""
    found = weighted_texts(prompt)
    assert [part.text for part in found] == [text for text, _ in parts]
    assert [part.weight for part in found] == pytest.approx([weight for _, weight in parts])


def test_kinds_of_brackets_know_nothing_of_each_other() -> None:
    assert [tuple(part) for part in weighted_texts("(a[b)c]")] == [
        ("a", 1.1),
        ("b", pytest.approx(1.0)),
        ("c", pytest.approx(1 / 1.1)),
    ]


def test_the_text_alone() -> None:
    assert plain_text(r"a (red:1.4) \(old\) boat") == "a red (old) boat"
