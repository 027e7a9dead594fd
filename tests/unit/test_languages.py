"""Language names and codes."""

import pytest

from serve_app.core.text.languages import NAMES, language_code, language_name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("de", "de"),
        ("DE", "de"),
        (" en ", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("German", "de"),
        ("german", "de"),
        ("Haitian", "ht"),
        ("ancient greek", "grc"),
        ("Castilian", "es"),
        ("mandarin chinese", "zh"),
        ("farsi", "fa"),
        ("cmn", "cmn"),
        ("haw", "haw"),
        ("eng", "en"),
        ("deu", "de"),
        ("ger", "de"),
        ("zho-TW", "zh"),
    ],
)
def test_a_code_a_locale_or_a_name_is_understood(text: str, code: str) -> None:
    assert language_code(text) == code


@pytest.mark.parametrize(
    "text", ["", " ", "-", "klingon", "e", "tlh", "xx-DE", "greek ancient", "d e", "x" * 10_000]
)
def test_an_unknown_language_has_no_code(text: str) -> None:
    assert language_code(text) is None


@pytest.mark.parametrize(
    ("code", "name"), [("de", "German"), ("grc", "Ancient Greek"), ("xx", "Xx"), ("", "")]
)
def test_a_code_has_an_english_name(code: str, name: str) -> None:
    assert language_name(code) == name


def test_every_name_leads_back_to_its_code() -> None:
    assert {code: language_code(language_name(code)) for code in NAMES} == {c: c for c in NAMES}
