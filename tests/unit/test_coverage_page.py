"""docs/coverage.md names a test for everything that is documented of the other systems."""

from tests.coverage_page import PAGE, marked_tests, page, rows


def test_every_row_is_shown_by_a_test_and_every_mark_is_a_row() -> None:
    marks = marked_tests()
    shown = {name for name, row in rows() if not row.is_planned}
    assert sorted(shown - marks.keys()) == []
    assert sorted(marks.keys() - shown) == []


def test_the_page_is_up_to_date() -> None:
    """`python -m tests.coverage_page` writes it."""
    assert PAGE.read_text() == page()


def test_rows_have_names_of_their_own() -> None:
    names = [name for name, _ in rows()]
    assert len(names) == len(set(names))
