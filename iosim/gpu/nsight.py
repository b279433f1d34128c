"""Nsight Compute: the counters that are asked for, the command that reads them, and what its CSV says.

Each boundary of the model has a counter of its own. What the instructions ask for is counted before any cache; between an
SM and the L2 cache are the crossbar's bytes; between the L2 cache and the memory the DRAM's.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from iosim.errors import IosimError

# Units: bytes.
LOADED = ("sm__sass_data_bytes_mem_global_op_ld.sum", "sm__sass_data_bytes_mem_global_op_ldgsts.sum")
STORED = ("sm__sass_data_bytes_mem_global_op_st.sum",)
L2_TO_SM = ("l1tex__m_xbar2l1tex_read_bytes.sum",)
SM_TO_L2 = ("l1tex__m_l1tex2xbar_write_bytes.sum",)
DRAM_READ = ("dram__bytes_read.sum",)
DRAM_WRITTEN = ("dram__bytes_write.sum",)
SPILLED = ("sm__sass_data_bytes_mem_local.sum",)
# The boundaries by name, with their counters.
LOADS, STORES = "instructions, loads", "instructions, stores"
FROM_L2, TO_L2 = "L2 to SM", "SM to L2"
DRAM_READS, DRAM_WRITES = "DRAM, reads", "DRAM, writes"
SPILLS = "spills"  # at which nothing should move
BOUNDARIES: Mapping[str, tuple[str, ...]] = {
    LOADS: LOADED,
    STORES: STORED,
    FROM_L2: L2_TO_SM,
    TO_L2: SM_TO_L2,
    DRAM_READS: DRAM_READ,
    DRAM_WRITES: DRAM_WRITTEN,
}
DURATION = "gpu__time_duration.sum"  # Units: ns
METRICS = (*LOADED, *STORED, *L2_TO_SM, *SM_TO_L2, *DRAM_READ, *DRAM_WRITTEN, *SPILLED)

_UNITS = {
    "byte": 1.0,
    "kbyte": 1e3,
    "mbyte": 1e6,
    "gbyte": 1e9,
    "tbyte": 1e12,
    "kibyte": 2.0**10,
    "mibyte": 2.0**20,
    "gibyte": 2.0**30,
    "tibyte": 2.0**40,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "tb": 1e12,
}
_NUMBER = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_CHATTER = re.compile(r"==(?P<kind>[A-Z]+)==")


class NsightError(IosimError, ValueError):
    """What Nsight Compute printed is not what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was measured of one launch.

    Attributes:
        number: of the launch, as Nsight Compute counts them in the process.
        kernel: its name, without parameters.
        values: of each metric in bytes, if its unit is one of bytes, else as it is printed.
    """

    number: int
    kernel: str
    values: Mapping[str, float] = field(default_factory=dict)

    def total(self, metrics: Iterable[str]) -> float:
        """Their sum.

        Raises:
            NsightError: one was not measured.
        """
        missing = [name for name in metrics if name not in self.values]
        if missing:
            raise NsightError(f"{self.kernel}: Nsight Compute gave no {', '.join(missing)}")
        return sum(self.values[name] for name in metrics)


def command(program: Sequence[str], *, log: str, ncu: str = "ncu") -> list[str]:
    """The command that profiles the launches of a program between `cudaProfilerStart` and `cudaProfilerStop`.

    Clocks are left as they are. Caches are emptied before each pass of each launch, which is what a prediction from an empty
    L2 cache needs.

    Args:
        program: the command that is profiled.
        log: the file that gets the CSV.
        ncu: Nsight Compute.
    """
    return [
        *(ncu, "--csv", "--log-file", log),
        *("--clock-control", "none", "--cache-control", "all", "--profile-from-start", "off"),
        *("--metrics", ",".join((*METRICS, DURATION))),
        *program,
    ]


def parse(text: str) -> list[Profile]:
    """What Nsight Compute measured, launch by launch, in the order of its numbers.

    Both of its tables are read: `--page raw`, a column for each metric under a row of units, and `--page details`, a row
    for each metric. Lines of the profiler (`==PROF==`) and of the program around the table are left out. Several tables
    may follow each other; a launch that is listed again, for another pass with other metrics, gets those too.

    Raises:
        NsightError: no table, a line that has not as many cells as the table, a number that is none, or a metric twice.
    """
    tables = list(_tables(text))
    if not tables:
        said = [line for line in text.splitlines() if (match := _CHATTER.match(line)) and match["kind"] == "ERROR"]
        raise NsightError(f"Nsight Compute printed no table{': ' + ' '.join(said) if said else ''}")
    found: dict[tuple[int, int, int], Profile] = {}
    for number, (header, rows) in enumerate(tables):
        # the same numbers in another table are another process's, unless the processes are told apart
        part = 0 if "Process ID" in header else number
        cells = _long(header, rows) if "Metric Name" in header else _wide(header, rows)
        for row, metric, unit, value in cells:
            key = (part, int(row.get("Process ID", "0") or 0), int(_number(row["ID"])))
            profile = found.setdefault(key, Profile(number=key[2], kernel=_kernel(row["Kernel Name"]), values={}))
            if profile.kernel != _kernel(row["Kernel Name"]):
                raise NsightError(
                    f"launch {profile.number}: it is {profile.kernel} and {_kernel(row['Kernel Name'])}; allowed: one"
                )
            if metric in profile.values:
                raise NsightError(f"launch {profile.number}, {profile.kernel}: {metric} is there twice")
            assert isinstance(profile.values, dict)
            profile.values[metric] = _number(value) * _UNITS.get(unit.strip().lower(), 1.0)
    return list(found.values())


def _tables(text: str) -> Iterable[tuple[list[str], list[dict[str, str]]]]:
    """Each table: its header, and its rows by the names in it. What is no table is left out."""
    header: list[str] | None = None
    rows: list[dict[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith('"'):
            continue  # the profiler's, or the program's own
        cells = next(csv.reader([line]))
        if cells[0] == "ID":
            if header is not None:
                yield header, rows
            header, rows = cells, []
            missing = {"ID", "Kernel Name"} - set(cells)
            if missing:
                raise NsightError(f"line {number}: the header has no column {', '.join(sorted(missing))}")
        elif header is not None:
            if len(cells) != len(header):
                raise NsightError(f"line {number}: {len(cells)} cells under a header of {len(header)}")
            rows.append(dict(zip(header, cells, strict=True)))
    if header is not None:
        yield header, rows


def _wide(header: Sequence[str], rows: Sequence[dict[str, str]]) -> Iterable[tuple[dict[str, str], str, str, str]]:
    """Row, metric, unit and value of a table with a column for each metric; its first row may be that of units."""
    metrics = [name for name in header if "__" in name and not name.startswith("device__")]
    units = dict.fromkeys(metrics, "")
    for row in rows:
        if not row["ID"]:
            units = {name: row[name] for name in metrics}
            continue
        for name in metrics:
            if row[name]:  # of another pass or another kernel
                yield row, name, units[name], row[name]


def _long(header: Sequence[str], rows: Sequence[dict[str, str]]) -> Iterable[tuple[dict[str, str], str, str, str]]:
    """Row, metric, unit and value of a table with a row for each metric."""
    missing = {"Metric Unit", "Metric Value"} - set(header)
    if missing:
        raise NsightError(f"the header has no column {', '.join(sorted(missing))}")
    for row in rows:
        if row["Metric Name"]:
            yield row, row["Metric Name"], row["Metric Unit"], row["Metric Value"]


def _number(text: str) -> float:
    """A number with or without separators of thousands."""
    if not _NUMBER.fullmatch(text.strip()):
        raise NsightError(f"Nsight Compute printed {text!r} where a number should be")
    return float(text.replace(",", ""))


def _kernel(name: str) -> str:
    """The name without parameters and template arguments: `void ns::f<4>(int *)` is `ns::f`."""
    name = re.sub(r"^(?:void|__global__)\s+", "", name.strip())
    return re.split(r"[<(]", name, maxsplit=1)[0].strip()
