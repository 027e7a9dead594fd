"""Texts cut into sentences."""

import pytest

from deployments.audio.sentences import sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One sentence only.", ["One sentence only."]),
        ("The first one here. And a second?", ["The first one here.", "And a second?"]),
        ('He said "it is enough." She left.', ['He said "it is enough."', "She left."]),
        (
            "Pi is 3.14 and no end!  Really…  Yes it is.",
            ["Pi is 3.14 and no end!", "Really… Yes it is."],
        ),
        ("Line one of two\n\nline two of two", ["Line one of two", "line two of two"]),
        ("Hi. Dr. No is here.", ["Hi. Dr. No is here."]),
        (
            "これは長い一つの文です。次の文もここにあります。",
            ["これは長い一つの文です。", "次の文もここにあります。"],
        ),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_they_end(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


def test_what_is_too_long_is_cut_at_clauses_then_words_then_anywhere() -> None:
    clauses = "a clause of words, " * 6
    assert sentences(clauses, longest=20) == ["a clause of words,"] * 6
    words = sentences("seven letters words " * 10, longest=25)
    assert all(len(part) <= 25 for part in words)
    assert " ".join(words) == ("seven letters words " * 10).strip()
    assert sentences("x" * 50, longest=20) == ["x" * 20, "x" * 20, "x" * 10]


def test_nothing_is_lost() -> None:
    text = "A first. Then, a long one; with clauses — many of them, in fact! " * 20
    for longest in (15, 40, 300):
        assert "".join(sentences(text, longest=longest)).replace(" ", "") == text.replace(" ", "")
