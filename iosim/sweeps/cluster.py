"""The workers of a Dask cluster, for joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from iosim import __version__
from iosim.errors import MissingPackageError, UsageError

_CONNECT_S = 10  # to wait for a scheduler and its first worker


@contextmanager
def dask_backend(address: str) -> Iterator[Any]:
    """A back end for joblib: the workers of the scheduler at that address, which must have the same iosim.

    A worker that is lost loses nothing: the scheduler gives its points to others.

    Raises:
        UsageError: there is no such scheduler, no worker, or one with another iosim.
        MissingPackageError: Dask is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError("--cluster needs Dask; allowed: pip install 'iosim[cluster]'") from error
    try:
        client = distributed.Client.__new__(distributed.Client)
        try:
            client.__init__(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[misc]
        except BaseException:
            client.status = "closed"  # or it waits as long when it is thrown away, and complains on stderr
            raise
    except MemoryError as error:  # of the length that the first bytes of another protocol seem to say
        raise UsageError(
            f"--cluster {address}: what answers is no scheduler; allowed: the address of a Dask scheduler"
        ) from error
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"--cluster {address}: no scheduler answers: {' '.join(str(error).split())}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            raise UsageError(f"--cluster {address}: the scheduler has no workers") from error
        for worker, version in client.run(_version, on_error="return").items():
            if version != __version__:
                found = version if isinstance(version, str) else f"none ({version})"
                raise UsageError(f"--cluster {address}: {worker} has iosim {found}; allowed: {__version__}, as here")
        yield _telling_backend()(client=client)


def _version() -> str:
    return __version__


@dataclass(frozen=True, slots=True)
class _Lost:
    """In the place of the result of a task that Dask has given up."""

    error: BaseException


def _telling_backend() -> Any:
    """joblib's back end for Dask, which tells joblib of a task that Dask has given up; else joblib would wait for ever."""
    from joblib._dask import DaskDistributedBackend

    class Telling(DaskDistributedBackend):  # type: ignore[misc]
        def effective_n_jobs(self, n_jobs: int) -> int:
            # what has only one worker is done by joblib in this process instead
            return max(2, int(super().effective_n_jobs(n_jobs)))

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(partial(_tell, callback))
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, _Lost):
                raise out.error
            return super().retrieve_result_callback(out)

    return Telling


def _tell(callback: Callable[[Any], object], future: Future[Any]) -> None:
    error = future.exception()
    if error is not None:
        callback(_Lost(error))
