"""How long something takes: the one clock of all benchmarks."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """CPU time of `work` in this process and in those that it starts, the least of some times."""

    def now() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    found = []
    for _ in range(times):
        begin = now()
        work()
        found.append(now() - begin)
    return min(found)
