"""The inner loop of `iosim.gpu.l2`: blocks in turn, and a list of cells in the order of their last use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from iosim.traces.jit import inline, jit

_CLEAN, _DIRTY = 1, 2


@jit
def simulate(
    first: npt.NDArray[np.int64],
    cell: npt.NDArray[np.int32],
    shape: npt.NDArray[np.int16],
    shapes: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int32],
    owner: npt.NDArray[np.int8],
    capacity: int,
    at: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    after: npt.NDArray[np.int32],
    before: npt.NDArray[np.int32],
    state: npt.NDArray[np.int8],
    used: npt.NDArray[np.int64],
    read: npt.NDArray[np.int64],
    written: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
) -> None:
    """Adds to `read`, `written` and `left`; the other arrays after `capacity` are memory to work in.

    As many partitions as `used` is long, each with that capacity. Cell x of partition p has the place x + p cells in
    `state`, `after` and `before`. The cells that are in a partition are a ring through one of the last places: after it
    comes the cell that was used last, before it the one that was used longest ago.
    """
    blocks, slots, cells, parts = len(first) - 1, len(at), len(weights), len(used)
    for part in range(parts):
        after[parts * cells + part] = parts * cells + part
        before[parts * cells + part] = parts * cells + part
    upcoming = 0
    running = 0
    for slot in range(slots):
        at[slot] = first[upcoming]
        end[slot] = first[upcoming + 1]
        upcoming += 1
        running += 1
    while running > 0:
        for slot in range(slots):
            while at[slot] == end[slot] and end[slot] >= 0:
                if upcoming < blocks:
                    at[slot] = first[upcoming]
                    end[slot] = first[upcoming + 1]
                    upcoming += 1
                else:
                    at[slot] = -1
                    end[slot] = -1
                    running -= 1
            if end[slot] < 0:
                continue
            move = at[slot]
            at[slot] += 1
            part = slot % parts
            ring = parts * cells + part
            form = shape[move]
            store = shapes[form, 6] == 1
            for i in range(shapes[form, 0]):
                for j in range(shapes[form, 1]):
                    for k in range(shapes[form, 2]):
                        x = cell[move] + i * shapes[form, 3] + j * shapes[form, 4] + k * shapes[form, 5]
                        # where along its row the cell is: a store may leave a part of the first and of the last out
                        along = k if shapes[form, 7] == 2 else j if shapes[form, 7] == 1 else i
                        whole = not (
                            (along == 0 and shapes[form, 8] == 1)
                            or (along == shapes[form, shapes[form, 7]] - 1 and shapes[form, 9] == 1)
                        )
                        here = x + part * cells
                        if state[here] == 0:
                            elsewhere = False
                            for other in range(parts):
                                there = x + other * cells
                                if state[there] != 0:
                                    elsewhere = True
                                    if store:
                                        used[other] -= weights[x]
                                        state[there] = 0
                                        _take_out(there, after, before)
                            used[part] += weights[x]
                            state[here] = _CLEAN
                            if not elsewhere and not (store and whole):
                                read[owner[x]] += weights[x]
                        else:
                            _take_out(here, after, before)
                            if store:
                                for other in range(parts):
                                    there = x + other * cells
                                    if other != part and state[there] != 0:
                                        used[other] -= weights[x]
                                        state[there] = 0
                                        _take_out(there, after, before)
                        if store:
                            state[here] = _DIRTY
                        _put_first(here, ring, after, before)
                        while used[part] > capacity:
                            oldest = before[ring]
                            gone = oldest - part * cells
                            if state[oldest] == _DIRTY:
                                written[owner[gone]] += weights[gone]
                            state[oldest] = 0
                            used[part] -= weights[gone]
                            _take_out(oldest, after, before)
    for x in range(parts * cells):
        if state[x] == _DIRTY:
            left[owner[x % cells]] += weights[x % cells]


@inline
def _take_out(x: int, after: npt.NDArray[np.int32], before: npt.NDArray[np.int32]) -> None:
    after[before[x]] = after[x]
    before[after[x]] = before[x]


@inline
def _put_first(x: int, ring: int, after: npt.NDArray[np.int32], before: npt.NDArray[np.int32]) -> None:
    after[x] = after[ring]
    before[x] = ring
    before[after[ring]] = x
    after[ring] = x
