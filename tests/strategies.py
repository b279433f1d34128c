"""Random programs: legal ones, written with the builder statement by statement, and illegal ones, by surgery on those.

A legal program has arrays of n rows and m columns (and one of four columns, for tables), nests of up to three loops, in
some programs once for each of several instances, around random work (loads of boxes that depend on the loops, scratch
arrays that are written and read again, operations on tiles and on views of them), and ends by writing each output in one
of a few ways.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from hypothesis import strategies as st

from iosim.builder import Builder, Index, build
from iosim.expr import symbol
from iosim.instances import for_each
from iosim.program import (
    Alloc,
    Array,
    Compute,
    Free,
    Load,
    Lookup,
    Loop,
    Program,
    Span,
    Statement,
    Store,
    Table,
    TableLoop,
    View,
    walk,
)
from tests.surgery import enlarged, places, replaced, statement_at, swapped, widened

SIZES = ("n", "m", "B", "C", "D", "k")  # rows, columns, three tile sizes, and a row to cut the rows at
TABLES = (
    Table([{"size": 2, "columns": (0, 3), "start": 1}]),
    Table([{"size": 1, "columns": (2,), "start": 0}, {"size": 2, "columns": (3, 1), "start": 2}]),
    Table([{"size": 2, "columns": pair, "start": 2} for pair in ((0, 1), (1, 2), (2, 3), (0, 3), (0, 2))]),
)
_DEPTH = 3


def sizes(most: int = 9, steps: int = 5) -> st.SearchStrategy[dict[str, int]]:
    """Values of all the sizes, ragged ones among them; a tile may be longer than its axis."""
    return st.fixed_dictionaries(
        {"n": st.integers(1, most), "m": st.integers(1, 4)} | {step: st.integers(1, steps) for step in "BCD"}
    ).flatmap(lambda found: st.integers(1, found["n"]).map(lambda k: {**found, "k": k}))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Legal programs with symbolic sizes."""
    program = build(_Author(draw).write, name="random", **{size: size for size in SIZES})
    if draw(st.integers(0, 4)) == 0:
        shared = frozenset(draw(st.sets(st.sampled_from([array.name for array in arrays_of(program, "input")]))))
        return for_each(program, "h", draw(st.sampled_from([1, 2, symbol("k")])), shared=shared)
    return program


@st.composite
def mutants(draw: st.DrawFn) -> Program:
    """Programs that one or two changes took away from a legal one; some are still legal."""
    program = draw(programs())
    for _ in range(draw(st.integers(1, 2))):
        program = draw(mutated(program))
    return program


@dataclass(frozen=True)
class _Live:
    handle: object
    shape: tuple
    valued: bool = True


class _Author:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.open: list[tuple[str, Index]] = []  # loops around us, with the size of the axis that they cut
        self.tables = 0  # loops around us over tables
        self.live: list[_Live] = []

    def one_of(self, *options):
        return self.draw(st.sampled_from(options))

    def maybe(self) -> bool:
        return self.draw(st.booleans())

    def write(self, b: Builder, *, n, m, B, C, D, k) -> None:
        self.b, self.n, self.m, self.steps, self.k = b, n, m, (B, C, D, 1, 2), k
        self.X, self.Y, self.F = b.input("X", (n, m)), b.input("Y", (n,)), b.input("F", (n, 4))
        self.W, self.U = b.scratch("W", (n, m)), b.scratch("U", (n,))
        self.readable = [(self.X, (n, m)), (self.Y, (n,)), (self.F, (n, 4))]
        self.noise(0)
        for array, shape in ((self.W, (n, m)), (self.U, (n,))):
            if self.maybe():
                self.sweep(array, shape)
                self.readable.append((array, shape))
        self.noise(0)
        self.one_of(self.copied, self.summed, self.multiplied, self.accumulated)()

    # Endings: each writes one output as it says that it needs

    def copied(self) -> None:
        O = self.b.output("O", (self.n, self.m), needs="O[i,l] <- X[i,l]")
        with self.rows() as i, self.loop("m") as c, self.b.load(self.X[i, c]) as x:
            self.noise(2)
            if self.maybe():
                self.b.store(x, self.W[i, c])
                with self.b.load(self.W[i, c]) as w:
                    self.b.store(w, O[i, c])
            self.b.store(x, O[i, c])

    def summed(self) -> None:
        R = self.b.output("R", (self.n,), needs="R[i] <- X[i,:]")
        with self.rows() as i:
            m, l = self.b.full("m", i, fill=-inf), self.b.zeros("l", i)
            with self.loop("m") as c, self.b.load(self.X[i, c]) as x:
                self.noise(2)
                self.b.op("row_statistics", m, l, x)
            self.b.store(l, R[i])
            self.b.free(m, l)

    def multiplied(self) -> None:
        O = self.b.output("O", (self.n, self.m), needs="O[i,l] <- X[i,:], F[:,:], X[:,l]")
        b = self.b
        with self.rows() as i, b.load(self.X[i, :]) as q, b.zeros("o", i, self.m) as o:
            with self.loop("n") as j, b.load(self.F[j, :]) as f:
                with b.zeros("g", i, 4) as g:
                    with self.loop("m") as c, b.load(self.X[j, c]) as v, b.zeros("s", i, j) as s:
                        self.noise(3)
                        b.op("add_abt", s, q[:, c], v)
                        b.op("add_ab", g, s, f)
                        b.op("add_ab", o[:, c], s, v)
                    with b.full("u", i, fill=1.0) as u, b.zeros("w", i, j) as w:
                        b.op("add_abt", w, g, f)
                        b.op("row_statistics", u, u[:], w) if self.maybe() else b.op("scale_rows", w, u)
                        with b.load(self.X[j, :]) as v:
                            b.op("add_ab", o, w, v)
            b.store(o, O[i, :])

    def accumulated(self) -> None:
        """Rows of the output pass by once for each tile of the other axis, as in FlashAttention."""
        O = self.b.output("O", (self.n, self.m), needs="O[i,l] <- Y[i], X[:,l]")
        b, n = self.b, self.n
        step = self.one_of(*self.steps)
        with b.tiles("first", n, step) as i, b.load(self.Y[i]) as y, b.full("o", i, self.m, fill=1.0) as o:
            b.op("scale_rows", o, y)
            b.store(o, O[i, :])
        with self.loop("n") as j, b.load(self.X[j, :]) as x, self.rows() as i:
            with self.loop("m") as c, b.load(O[i, c]) as o, b.full("w", i, j, fill=1.0) as w:
                self.noise(3)
                b.op("add_ab", o, w, x[:, c])
                b.store(o, O[i, c])

    # Loops

    def rows(self):
        return self.loop("n")

    def loop(self, axis: str, **bounds):
        return _Loop(self, axis, self.one_of(*self.steps), bounds)

    def random_loop(self):
        """A loop over some of the rows or columns, often one that depends on the loops around it."""
        axis = self.one_of("n", "m")
        inside = [index for of, index in self.open if of == axis]
        end = self.n if axis == "n" else self.m
        choices = [{}]
        if axis == "n":
            choices += [{"stop": self.k}, {"start": self.k}]
        for index in inside[-2:]:
            choices += [
                {"start": index.start, "stop": index.stop},
                {"stop": index.stop},
                {"stop": index.start},
                {"start": index.start},
                {"start": index.stop},
                {"stop": end - index.start},
            ]
        step = self.one_of(*self.steps, *(index.length for index in inside[-1:]))
        return _Loop(self, axis, step, self.one_of(*choices))

    # Work that no output depends on

    def noise(self, depth: int) -> None:
        born: list[_Live] = []
        for _ in range(self.draw(st.integers(0, 2))):
            action = self.one_of("load", "create", "op", "op", "store", "loop", "loop", "table", "free")
            if action == "load":
                array, shape = self.one_of(*self.readable)
                region = array[tuple(self.selector(size) for size in shape)]
                born.append(_Live(self.b.load(region), region.shape))
            elif action == "create":
                shape = tuple(self.extent() for _ in range(self.one_of(1, 2)))
                born.append(_Live(self.b.full("t", *shape, fill=self.one_of(0.0, -inf)), shape))
            elif action == "op":
                born.extend(self.operate())
            elif action == "store":
                self.scatter()
            elif action == "loop" and depth < _DEPTH:
                with self.random_loop():
                    self.noise(depth + 1)
            elif action == "table" and depth < _DEPTH:
                self.gather(depth)
            elif action == "free" and born:
                chosen = self.one_of(*born)
                born.remove(chosen)
                self.live.remove(chosen)
                self.b.free(chosen.handle)
            self.live.extend(tile for tile in born if tile not in self.live)
        for tile in self.draw(st.permutations(born)):
            self.live.remove(tile)
            self.b.free(tile.handle)

    def operate(self) -> list[_Live]:
        """An operation on a live matrix, or on a view of one; the tiles that it made for that."""
        matrices = [tile for tile in self.live if len(tile.shape) == 2]
        if not matrices:
            return []
        chosen = self.one_of(*matrices)
        rows, _columns = chosen.shape
        x = chosen.handle
        match self.one_of("divide", "view", "scale", "statistics", "rescale", "product", "online"):
            case "divide":
                self.b.op("divide_by_sqrt", x, of=self.one_of(2, self.n, self.m))
                return []
            case "view":
                for of, index in reversed(self.open):
                    if any(rows is size or rows == size for size in ((self.n,) if of == "n" else (self.m,))):
                        self.b.op("divide_by_sqrt", x[index, :], of=2)
                        break
                return []
            case "scale":
                a = self.b.full("a", rows, fill=1.0)
                self.b.op("scale_rows", x, a)
                return [_Live(a, (rows,))]
            case "statistics":
                m, l = self.b.full("m", rows, fill=-inf), self.b.zeros("l", rows)
                self.b.op("row_statistics", m, l, x)
                return [_Live(m, (rows,)), _Live(l, (rows,))]
            case "rescale":
                m, l, a = self.b.full("m", rows, fill=-inf), self.b.zeros("l", rows), self.b.empty("a", rows)
                self.b.op("rescaling_softmax", x, m, l, a)
                return [_Live(m, (rows,)), _Live(l, (rows,)), _Live(a, (rows,))]
            case "online":
                m, l, o = self.b.full("m", rows, fill=-inf), self.b.zeros("l", rows), self.b.zeros("o", rows, 2)
                self.b.op("online_softmax", x, m, l, o)
                return [_Live(m, (rows,)), _Live(l, (rows,)), _Live(o, (rows, 2))]
            case _:
                s = self.b.zeros("s", rows, rows)
                self.b.op("add_abt", s, x, x)
                return [_Live(s, (rows, rows))]

    def scatter(self) -> None:
        """Some words of a scratch array are written (again)."""
        array, shape = self.one_of((self.W, (self.n, self.m)), (self.U, (self.n,)))
        region = array[tuple(self.selector(size) for size in shape)]
        with self.b.full("t", *region.shape, fill=0.0) as t:
            self.b.store(t, region)
            if self.maybe():
                with self.b.load(region):
                    pass

    def gather(self, depth: int) -> None:
        table = self.one_of(*TABLES)
        with self.b.table("tuvw"[self.tables], table) as row:
            self.tables += 1
            which = self.one_of("columns", "part", "start", "length", "number", "lookup")
            if which == "lookup":
                with self.b.zeros("z", 2) as z, self.b.load(self.F[z.at(row.size("size") - 1), :]):
                    self.noise(depth + 1)
                self.tables -= 1
                return
            if which == "part":
                name = f"{row.value('columns').index}p"
                step = self.one_of(1, 2, self.steps[0])
                with self.b.tiles(name, row.size("size"), step, start=self.one_of(0, 0, 1)) as part:
                    with self.b.load(self.F[self.selector(self.n), row.coordinates("columns", part)]):
                        self.noise(depth + 1)
                self.tables -= 1
                return
            if which == "columns":
                region = self.F[self.selector(self.n), row.coordinates("columns", "size")]
            elif which == "start":
                region = self.F[self.selector(self.n), row.size("start") : row.size("start") + row.size("size")]
            elif which == "number":
                region = self.F[self.selector(self.n), row.number // 2]
            else:
                region = self.F[: self.one_of(1, self.n), 4 - row.size("size") :]
            with self.b.load(region):
                self.noise(depth + 1)
            self.tables -= 1

    def sweep(self, array, shape) -> None:
        """Every word of a scratch array is written, with words of X or with a constant."""
        with self.rows() as i:
            if len(shape) == 1:
                with self.b.full("t", i, fill=0.0) as t:
                    self.noise(2)
                    self.b.store(t, array[i])
                return
            with self.loop("m") as c, self.b.load(self.X[i, c]) as x:
                self.noise(3)
                self.b.store(x, array[i, c])

    def selector(self, size):
        """An axis of a region: all of it, or a part that depends on a loop over the same axis."""
        choices = [slice(None)]
        for axis, index in self.open[-3:]:
            if (self.n if axis == "n" else self.m) == size:
                choices += [
                    index,
                    index,
                    slice(None, index.stop),
                    slice(None, index.start),
                    slice(index.start, None),
                    slice(index.stop, None),
                    index.start,
                    index.stop - 1,
                ]
        if size == self.n:
            choices += [slice(None, self.k), slice(self.k, None)]
        if size == self.m:
            choices += [0, slice(0, 1)]
        return self.one_of(*choices)

    def extent(self):
        choices = [1, 2, self.n, *self.steps]
        for _, index in self.open[-2:]:
            choices += [index, index.stop, index.length + 1]
        chosen = self.one_of(*choices)
        return chosen.length.size if isinstance(chosen, Index) else getattr(chosen, "size", chosen)


class _Loop:
    """A loop of the program that the author knows to be in."""

    def __init__(self, author: _Author, axis: str, step, bounds) -> None:
        end = author.n if axis == "n" else author.m
        self.author, self.axis = author, axis
        name = "ijkxyz"[len(author.open)]  # loops one after the other share names
        self.context = author.b.tiles(name, bounds.get("stop", end), step, start=bounds.get("start", 0))

    def __enter__(self) -> Index:
        index = self.context.__enter__()
        self.author.open.append((self.axis, index))
        return index

    def __exit__(self, *error: object) -> None:
        self.author.open.pop()
        self.context.__exit__(*error)


@st.composite
def mutated(draw: st.DrawFn, program: Program) -> Program:
    """The program with one random change: often, but not always, it breaks a rule."""
    if not program.body:
        return program
    place, statement = draw(st.sampled_from(list(places(program))))
    block = statement_at(program, place[:-1]).body if place[:-1] else program.body
    kind = draw(st.sampled_from(["drop", "swap", "twice", "move", "change", "change", "change"]))
    if kind == "drop":
        return replaced(program, place)
    if kind == "swap" and place[-1] + 1 < len(block):
        return swapped(program, place)
    if kind == "twice":
        return replaced(program, place, statement, _copy(statement))
    if kind == "move":
        to = draw(st.integers(0, len(block) - 1))
        order = [s for s in block if s is not statement]
        order.insert(to, statement)
        shuffled = program
        for number, moved in enumerate(order):
            shuffled = replaced(shuffled, (*place[:-1], number), moved)
        return shuffled
    by = draw(st.sampled_from([-1, 1]))
    match statement:
        case Load(region=region, tile=tile):
            axis = draw(st.integers(0, len(region.axes) - 1))
            own = axis % len(tile.shape)  # an axis that is looked up is none of the tile
            changed = draw(
                st.sampled_from(
                    [
                        replace(statement, region=widened(region, axis, size=by)),
                        replace(statement, region=widened(region, axis, start=by, size=0)),
                        replace(statement, region=widened(region, axis, size=by), tile=enlarged(tile, own, by)),
                        replace(statement, tile=enlarged(tile, own, 1)),
                    ]
                )
            )
        case Store(region=region):
            axis = draw(st.integers(0, len(region.axes) - 1))
            swaps = [array for array in program.arrays if len(array.shape) == len(region.axes)]
            changed = draw(
                st.sampled_from(
                    [
                        replace(statement, region=widened(region, axis, size=by)),
                        replace(statement, region=widened(region, axis, start=by, size=0)),
                        *(replace(statement, region=replace(region, array=array)) for array in swaps),
                    ]
                )
            )
        case Alloc(tile=tile):
            axis = draw(st.integers(0, len(tile.shape) - 1))
            changed = draw(
                st.sampled_from([replace(statement, fill=None), replace(statement, tile=enlarged(tile, axis))])
            )
        case Free():
            tiles = [s.tile for _, s in places(program) if isinstance(s, Load | Alloc)]
            changed = replace(statement, tile=draw(st.sampled_from(tiles)))
        case Compute(operands=operands):
            number = draw(st.integers(0, len(operands) - 1))
            view = operands[number]
            axis = draw(st.integers(0, len(view.axes) - 1))
            span = draw(
                st.sampled_from(
                    [
                        Span(view.axes[axis].start + by, view.axes[axis].size),
                        Span(view.axes[axis].start, view.axes[axis].size + by),
                    ]
                )
            )
            new = View(view.tile, (*view.axes[:axis], span, *view.axes[axis + 1 :]))
            changed = replace(statement, operands=(*operands[:number], new, *operands[number + 1 :]))
        case Loop(start=start, stop=stop, step=step):
            changed = draw(
                st.sampled_from(
                    [
                        replace(statement, stop=stop - step),
                        replace(statement, stop=stop + by),
                        replace(statement, start=start + by),
                        replace(statement, step=step + 1),
                    ]
                )
            )
        case TableLoop():
            changed = replace(statement, table=draw(st.sampled_from(TABLES)))
        case _:
            raise AssertionError(statement)
    return replaced(program, place, changed)


def _copy(statement: Statement) -> Statement:
    """An equal statement made of other objects: what breaks a rule is reported once for each statement."""
    if isinstance(statement, Loop | TableLoop):
        return replace(statement, body=tuple(map(_copy, statement.body)))
    return replace(statement)


def arrays_of(program: Program, role: str) -> list[Array]:
    return [array for array in program.arrays if array.role == role]


def looks_up(program: Program) -> bool:
    """Whether it loads coordinates that only an execution knows."""
    loads = (s for s in walk(program.body) if isinstance(s, Load))
    return any(isinstance(axis, Lookup) for load in loads for axis in load.region.axes)


FOLLOWABLE = programs().filter(lambda program: not looks_up(program))
