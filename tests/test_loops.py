"""The symbols of loops are those that programs use, and between the numbers that are said."""

from __future__ import annotations

from iosim.expr import Expr, symbol
from iosim.loops import loops_of, row_name, row_ranges, row_values, tile_ranges, tile_values
from iosim.program import Table, entry_of, size_of, start_of


def test_values_are_of_the_symbols_that_programs_use() -> None:
    """Start and size of a tile; of a row the whole numbers, and its own number where that is given."""
    assert {start_of("i"), size_of("i")} == {*_symbols(tile_values("i", 4, 2))}
    row = {"g": 3, "listed": (0, 2)}
    assert row_values("b", row) == {"b.g": 3}
    assert row_values("b", row, 7) == {"b.g": 3, row_name("b"): 7}
    assert [*_symbols(row_values("b", row))] == [entry_of("b", "g")]


def test_a_symbol_leads_to_its_loop() -> None:
    """That of a tile, of a row and of its number; a size of the program leads to none."""
    names = [*tile_values("i", 0, 1), *row_values("b", {"g": 3}, 0), "n"]
    assert loops_of(names) == {"i", "b"}


def test_values_are_in_their_ranges() -> None:
    """Of every tile of 3, ..., 10 by four, and of every row of a table; an empty table has a range too."""
    ends = tile_ranges("i", 3, 11, 4)
    for start in range(3, 11, 4):
        for name, value in tile_values("i", start, min(4, 11 - start)).items():
            assert ends[name][0] <= value <= ends[name][1]
    rows = [{"g": 2, "listed": (1,)}, {"g": 5, "listed": ()}, {"g": 2, "listed": (1,)}]
    assert row_ranges("b", Table(rows)) == {"b.g": (2, 5), row_name("b"): (0, 2)}
    assert row_ranges("b", Table([])) == {row_name("b"): (0, 0)}


def _symbols(values: dict[str, int]) -> list[Expr]:
    return [symbol(name) for name in values]
