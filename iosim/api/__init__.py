"""The verbs as functions: `import iosim`, then `iosim.run(...)`, with the names that the command line has.

What a flag takes as text can be given as text or as itself: `n="64Ki"` or `n=65536`, `M="100KB"` or words as a number,
`tiles="B_r=32,B_c=1"` or a mapping, `input="qkv.npz"` or arrays. Flags with a dash are parameters with an underscore. What
can't be used is an `iosim.errors.UsageError`, with the line that the command prints; a parameter that there is not, a
`TypeError` that names those that there are.

`iosim list` is `list_algorithms`, `iosim tune --gpu` is `gpu_tiles`, `iosim bounds --tightness` is `tightness`. One has no
function here: `iosim gpu` is about the package `iosim.gpu`.

Results print as the command does (but of kernels and pages the report: the command prints `source` and writes `html()`),
show themselves in a notebook, and have `to_dict()`, the object that `--json` prints (which only `iosim report` has not), and
`to_frame()`.

Example:
    >>> import iosim
    >>> run = iosim.run("approx", n=65536, M="100KB", numeric=False)
    >>> run.verdict
    'every check holds; the result was not computed'
    >>> run.io_words, run.peak_words, run.tiles["r"]
    (33751040, 47257, 2145)
    >>> exact = iosim.run("exact", n="64Ki", M=50_000, numeric=False)
    >>> exact.io_words // run.io_words
    42
"""

from iosim.api.algorithms import list_algorithms, run, show
from iosim.api.approximate import advise, tradeoff
from iosim.api.figures import plot, report
from iosim.api.grids import sweep
from iosim.api.limits import bounds, prove, tightness
from iosim.api.machines import kernel, pebble
from iosim.api.memories import cache, gpu_tiles, trace, tune

__all__ = [
    "advise",
    "bounds",
    "cache",
    "gpu_tiles",
    "kernel",
    "list_algorithms",
    "pebble",
    "plot",
    "prove",
    "report",
    "run",
    "show",
    "sweep",
    "tightness",
    "trace",
    "tradeoff",
    "tune",
]
