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
    read: npt.NDArray[np.int64],
    written: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
) -> None:
    """Adds to `read`, `written` and `left`; the other arrays after `capacity` are memory to work in.

    The cells that are in the cache are a ring through the last place of `after` and `before`: after it comes the cell that
    was used last, before it the one that was used longest ago.
    """
    blocks, slots, ring = len(first) - 1, len(at), len(state)
    after[ring] = ring
    before[ring] = ring
    used = 0
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
            form = shape[move]
            store = shapes[form, 6] == 1
            for i in range(shapes[form, 0]):
                for j in range(shapes[form, 1]):
                    for k in range(shapes[form, 2]):
                        x = cell[move] + i * shapes[form, 3] + j * shapes[form, 4] + k * shapes[form, 5]
                        if state[x] == 0:
                            used += weights[x]
                            state[x] = _CLEAN
                            if not store:
                                read[owner[x]] += weights[x]
                        else:
                            _take_out(x, after, before)
                        if store:
                            state[x] = _DIRTY
                        _put_first(x, ring, after, before)
                        while used > capacity:
                            oldest = before[ring]
                            if state[oldest] == _DIRTY:
                                written[owner[oldest]] += weights[oldest]
                            state[oldest] = 0
                            used -= weights[oldest]
                            _take_out(oldest, after, before)
    for x in range(ring):
        if state[x] == _DIRTY:
            left[owner[x]] += weights[x]


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
