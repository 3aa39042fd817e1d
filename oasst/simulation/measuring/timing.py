"""Measuring the time and the number of statements of calls."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from django.db import connection


@dataclass(frozen=True)
class Sample:
    wall: float  # seconds
    cpu: float  # seconds of this thread
    server: float  # CPU seconds of its database server process; 0 if that is on another machine
    statements: int


class Timings:
    """Samples by name. Threads may share one."""

    def __init__(self) -> None:
        self._samples: defaultdict[str, list[Sample]] = defaultdict(list)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add one sample, unless the block raises."""
        count = 0

        def counted(execute: Any, *args: Any) -> Any:
            nonlocal count
            count += 1
            return execute(*args)

        with connection.execute_wrapper(counted):
            connection.ensure_connection()
            wall, cpu, server = time.perf_counter(), time.thread_time(), _server_time()
            yield
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
        self._samples[name].append(Sample(wall, cpu, max(0.0, _server_time() - server), count))

    def table(self) -> Iterator[str]:
        """Yield a line for each name, with milliseconds and statements."""
        yield f"{'':<30}{'calls':>6} |{'p50':>7}{'p95':>7}{'p99':>7} | CPU p50    p95 | server p50    p95 | statements"
        for name, samples in self._samples.items():
            wall, cpu, server = (
                _percentiles([1000 * getattr(sample, part) for sample in samples]) for part in ("wall", "cpu", "server")
            )
            most = max(sample.statements for sample in samples)
            yield (
                f"{name:<30}{len(samples):6} |{wall[50]:7.1f}{wall[95]:7.1f}{wall[99]:7.1f} | "
                f"{cpu[50]:7.1f}{cpu[95]:7.1f} | {server[50]:10.1f}{server[95]:7.1f} | {most:10}"
            )


def _server_time() -> float:
    """Return the CPU seconds of the server process of this thread's connection."""
    try:
        return int(Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def _percentiles(values: list[float]) -> dict[int, float]:
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {share: cuts[share - 1] for share in (50, 95, 99)}
