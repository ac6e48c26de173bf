"""Values are formatted the same everywhere, fit their width, and cannot move a cursor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from shipit.display.text import clean, clip, dollars, folded, listing, pad, size, table, width, wrap
from shipit.wording import duration, plural

WILD = st.text(alphabet=st.characters(max_codepoint=0x2FFF) | st.sampled_from("宽\x1b[2J\t\n …é‮"), max_size=60)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (-1, "0.0 s"),
        (3.14, "3.1 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (303, "5 min 3 s"),
        (3599.9, "1 h"),
        (3725, "1 h 2 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (2_300_000, "2.3 MB"), (999_999, "1.0 MB"), (5 * 10**12, "5.0 TB")],
)
def test_bytes_have_one_decimal(count: int, said: str) -> None:
    assert size(count) == said


def test_money_has_the_digits_that_it_needs() -> None:
    assert [dollars(0.00005), dollars(1.5), dollars(0)] == ["$0.00005", "$1.50", "$0.00"]


def test_nouns_agree_with_their_count() -> None:
    assert [plural(1, "group"), plural(1203, "group"), plural(2, "query", "queries")] == [
        "1 group",
        "1,203 groups",
        "2 queries",
    ]


def test_a_list_names_the_first_and_counts_the_rest() -> None:
    assert listing(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listing(["a", "b"], 2) == "a, b"


def test_what_moves_a_cursor_is_shown_and_not_done() -> None:
    assert clean("a\x1b[2Jb\rc\u202ed") == "a\\x1b[2Jb\\rc\\u202ed"
    assert clean("[bold]x[/bold]") == "[bold]x[/bold]"


@given(WILD)
def test_clean_text_is_one_line_and_clean_again(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert len(clean(text).splitlines()) <= 1


@given(WILD, st.integers(0, 30))
def test_a_clipped_text_fits(text: str, limit: int) -> None:
    assert width(clip(clean(text), limit)) <= limit


@given(st.text(alphabet="ab 宽漢字é", max_size=60), st.integers(2, 30))
def test_a_wrapped_text_fits_and_loses_no_word(text: str, limit: int) -> None:
    lines = wrap(text, limit, "  ")
    assert all(width(line) <= limit for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(alphabet="aé宽漢字ß→…━", max_size=30))
def test_columns_are_counted_as_the_terminal_library_does(text: str) -> None:
    assert width(text) == cell_len(text)


@given(st.lists(st.tuples(WILD, WILD, WILD), max_size=5), st.integers(20, 100))
def test_a_table_never_exceeds_its_limit(rows: list[tuple[str, str, str]], limit: int) -> None:
    lines = table(("one", "two", "three"), rows, limit=limit)
    assert len(lines) == len(rows) + 1
    assert all(width(line) <= limit for line in lines)


def test_the_widest_column_gives_way_first() -> None:
    assert table(("a", "b"), [("x", "y" * 40)], limit=20)[1] == "x  " + "y" * 16 + "…"


def test_a_wrapped_text_keeps_its_own_indent() -> None:
    assert wrap("  failed     one two three", 18, "    ") == ["  failed     one", "    two three"]


def test_padding_counts_wide_characters_twice() -> None:
    assert pad("宽", 4) == "宽  "
    assert pad("7", 3, right=True) == "  7"


def test_columns_that_do_not_fit_go_below_the_others_and_nothing_is_cut() -> None:
    rows = [("20261125-203341-d5bd", "ann@laptop", "converged"), ("20261125-2033-short", "", "the note is long")]
    assert folded(("id", "by", "outcome"), rows, 34) == [
        ["id                    by", "  outcome"],
        ["20261125-203341-d5bd  ann@laptop", "  converged"],
        ["20261125-2033-short", "  the note is long"],
    ]


@given(st.lists(st.lists(WILD, min_size=3, max_size=3), min_size=1, max_size=4), st.integers(12, 90))
def test_a_folded_table_fits_and_keeps_every_character_but_spaces(rows: list[list[str]], limit: int) -> None:
    head, *body = rows
    for row, lines in zip(rows, folded(head, body, limit), strict=True):
        assert all(width(t) <= limit for t in lines)
        assert "".join("".join(lines).split()) == "".join("".join(map(clean, row)).split())
