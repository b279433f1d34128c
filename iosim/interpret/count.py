"""How many words move, and how many live at once? Exact, at any size, in numbers or in symbols.

Loops are summed, never run. The body of a loop is counted once, for a tile of symbolic length `s` at a symbolic
position `t`; its counts are polynomials in both, and summing a polynomial over all the tiles (full ones of length
`step`, and one ragged one) is arithmetic. The same code counts with integers and with symbols: sizes without a value
stay symbols, and the result is then an exact expression in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from iosim.expr import Expr, Size, evaluate, maximum
from iosim.interpret.peak import Kind, Peak, undominated
from iosim.interpret.tiles import Values, check_loops, general_tile, sum_tiles, tiles_of
from iosim.loops import number_name, row_values, size_name
from iosim.program import Alloc, Compute, Free, Load, Loop, Program, Statement, Store, TableLoop

_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a program costs.

    Attributes:
        loads: words moved from slow to fast memory, by array.
        stores: words moved from fast to slow memory, by array.
        flops: arithmetic operations.
        trips: iterations of each loop in all, by its index; loops of one name are added.
    """

    loads: Mapping[str, Size] = field(default_factory=dict)
    stores: Mapping[str, Size] = field(default_factory=dict)
    flops: Size = 0
    trips: Mapping[str, Size] = field(default_factory=dict)

    @property
    def loads_words(self) -> Size:
        return sum(self.loads.values())

    @property
    def stores_words(self) -> Size:
        return sum(self.stores.values())

    @property
    def io_words(self) -> Size:
        """Traffic: loads plus stores, in words."""
        return self.loads_words + self.stores_words


def count(program: Program, sizes: Values | None = None) -> Count:
    """Words moved by array and direction, flops and trip counts of `program`.

    Args:
        program: what to count.
        sizes: values of its sizes; one that is left out stays a symbol.

    Units: words, flops, iterations.
    Raises:
        CountError: a loop ends before it starts, or a sum has no closed form and too many terms to add.
    Example:
        >>> from iosim.builder import build
        >>> def copy(b, *, n, d, B):
        ...     X, Y = b.input("X", (n, d)), b.output("Y", (n, d), needs="Y[i,l] <- X[i,l]")
        ...     with b.tiles("i", n, B) as i, b.load(X[i, :]) as x:
        ...         b.store(x, Y[i, :])
        >>> print(count(build(copy, name="copy", n="n", d="d", B="B")).io_words)
        2*d*n
        >>> count(build(copy, name="copy", n="n", d="d", B="B"), {"n": 10, "d": 3, "B": 4}).io_words
        60
    """
    values = dict(sizes or {})
    check_loops(program, values)
    tally = _tally(program.body, values)

    def of(kind: str) -> dict[str, Size]:
        return {name: value for (k, name), value in tally.items() if k == kind}

    return Count(loads=of("load"), stores=of("store"), flops=tally.get(("flops", ""), 0), trips=of("trips"))


def peak_words(
    program: Program, sizes: Values | None = None, *, tiles_fit: bool = False, only: Kind | None = None
) -> Size:
    """Most words of fast memory live at once while the program runs, an operation's own scratch words included.

    Args:
        program: what to measure.
        sizes: values of its sizes; one that is left out stays a symbol.
        tiles_fit: assume that no tile is longer than the axis it cuts and that every loop has one (a formula without
            `min(B, n)`).
        only: count only the tiles that are loaded, or only those that are created, and scratch words.

    Units: words.
    Raises:
        CountError: a loop ends before it starts, or the greatest of too many amounts is not known in closed form.
    Source: the capacity rule of the two-level machine: tiles and temporaries count, loop indices don't.
    """
    values = dict(sizes or {})
    check_loops(program, values)
    peaks = Peak(tiles_fit=tiles_fit, only=only)
    peaks.run(program.body, values)
    return maximum(*undominated(peaks.seen)) if peaks.seen else 0


def _tally(body: Sequence[Statement], values: Values) -> dict[_Key, Size]:
    tally: dict[_Key, Size] = {}

    def add(key: _Key, amount: Size) -> None:
        tally[key] = tally.get(key, 0) + amount

    for statement in body:
        match statement:
            case Load(region=region):
                add(("load", region.array.name), evaluate(region.words, values))
            case Store(region=region):
                add(("store", region.array.name), evaluate(region.words, values))
            case Alloc() | Free():
                pass
            case Compute(op=op, operands=operands, params=params):
                shapes = [[evaluate(size, values) for size in view.shape] for view in operands]
                given = {key: evaluate(x, values) if isinstance(x, Expr) else x for key, x in params}
                add(("flops", ""), op.flops(op.axis_sizes(shapes), given))
            case Loop():
                for key, amount in _loop(statement, values).items():
                    add(key, amount)
            case TableLoop(index=index, table=table, body=inner):
                add(("trips", index), table.row_count)
                for row, times, _ in table.classes():
                    bound = {**values, **row_values(index, row)}
                    for key, amount in _tally(inner, bound).items():
                        add(key, amount * times)
            case _:
                assert_never(statement)
    return tally


def _loop(loop: Loop, values: Values) -> dict[_Key, Size]:
    cut = tiles_of(loop, values)
    t, s = number_name(loop.index), size_name(loop.index)
    if isinstance(cut.tiles, int) and cut.tiles == 0:
        return {}
    bound = general_tile(loop, cut, values)
    totals = {key: sum_tiles(term, t, s, cut) for key, term in _tally(loop.body, bound).items()}
    trips = ("trips", loop.index)
    totals[trips] = totals.get(trips, 0) + cut.tiles
    return totals
