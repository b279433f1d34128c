"""Sweeps: several processes and a cluster find what one process finds, and lose nothing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import iosim
from iosim.errors import MissingPackageError, SweepError
from iosim.sweeps.cluster import _telling_backend
from iosim.table_files import read_rows
from tests.small_sweeps import COMMAND, DEADLY, GRID, timeless


def test_processes_find_what_one_finds(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    """Two processes side by side give the same rows in the same order."""
    path = str(tmp_path / "grid.csv")
    iosim.sweep(**GRID, output=path, jobs=2)
    assert timeless(read_rows(path)) == whole


def test_lost_processes_are_an_error_that_loses_nothing(tmp_path: Path) -> None:
    """Where a point ends its worker, that is said with what is kept."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    path = str(tmp_path / "grid.csv")
    with pytest.raises(
        SweepError, match=r"the workers are lost: TerminatedWorkerError: .*; \d of 4 points are kept in"
    ):
        iosim.sweep(["flash2", f"{tmp_path}/deadly.py:mine"], n=[7, 8], d=2, M=60, output=path, jobs=2)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two Dask workers, each a process of its own, which come back when they are killed."""
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as found:
            yield found


@pytest.mark.filterwarnings("ignore")  # of Dask, about connections to the worker that is killed
def test_a_cluster_loses_nothing_with_a_worker(cluster: Any, tmp_path: Path) -> None:
    """A Dask cluster of two workers, one of which is killed in mid-sweep, gives the rows that one process gives."""
    path = str(tmp_path / "grid.csv")
    grid: dict[str, Any] = {"algo": "flash2", "n": list(range(5, 11)), "d": 2, "M": [6, 60]}
    killed: list[int] = []

    def kill(_what: str, _fraction: float) -> None:
        if not killed:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    found = iosim.sweep(**grid, output=path, cluster=cluster.scheduler_address, progress=kill)
    assert killed
    assert found.size == 12
    assert timeless(read_rows(path)) == timeless(iosim.sweep(**grid).rows())


def test_a_cluster_of_one_works_itself() -> None:
    """joblib does in its own process what has only one worker: a cluster must never seem to have only one."""
    backend = object.__new__(_telling_backend())
    backend.client, backend.wait_for_workers_timeout = SimpleNamespace(ncores=lambda: {"tcp://w": 1}), 0
    assert backend.effective_n_jobs(-1) > 1


def test_what_answers_in_another_protocol_is_no_scheduler(tmp_path: Path) -> None:
    """A web server, whose first 8 bytes would be the length of a message: one line, at once, and nothing more on stderr."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)
                connection.recv(1000)

        threading.Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        command = [*COMMAND, "--cluster", address, "-o", "grid.csv"]
        found = subprocess.run(
            [sys.executable, "-m", "iosim", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    allowed = "allowed: the address of a Dask scheduler"
    assert found.returncode == 2
    assert found.stderr == f"Error: --cluster {address}: what answers is no scheduler; {allowed}\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_point_that_kills_every_worker_is_an_error(cluster: Any, tmp_path: Path) -> None:
    """Where Dask gives a point up, the sweep ends with an error, and does not wait for ever."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    path = str(tmp_path / "grid.csv")
    with pytest.raises(SweepError, match=r"the workers are lost: KilledWorker: .*; \d of 4 points are kept in"):
        iosim.sweep(
            ["flash2", f"{tmp_path}/deadly.py:mine"],
            n=[7, 8],
            d=2,
            M=60,
            output=path,
            cluster=cluster.scheduler_address,
        )


def test_a_cluster_without_dask_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Dask is missing, `--cluster` names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r"--cluster needs Dask; allowed: pip install 'iosim\[cluster\]'"):
        iosim.sweep(**GRID, cluster="tcp://127.0.0.1:8786")
