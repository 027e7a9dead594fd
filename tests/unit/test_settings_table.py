"""The documented table of settings is what the configuration's classes say."""

from pathlib import Path

from serve_app.launch.settings_table import BEGIN, END, replaced, settings_table

PAGE = Path(__file__).parents[2] / "docs/settings.md"


def test_the_page_has_todays_settings() -> None:
    text = PAGE.read_text()
    assert BEGIN in text
    assert END in text
    assert replaced(text) == text, "run: python -m serve_app.launch.settings_table docs/settings.md"


def test_the_table_has_values_and_defaults() -> None:
    lines = settings_table().splitlines()
    assert "| `auth.required` | true, false | `true` |" in lines
    assert "| `jobs.sync_timeout_s` | map of names to number > 0 | `{}` |" in lines
    assert any(line.startswith("| `archive.retention` | `1h`, `1d`,") for line in lines)
    assert "| `storage.database_url` | text or null | `null` |" in lines
