"""Measuring how long an API client waits for boards and statistics over HTTP."""

import asyncio
import time
from collections.abc import Iterator
from statistics import quantiles

from leaderboard.cached_statistics import API_STATISTICS
from leaderboard.models import Standing
from leaderboard.time_frames import Frame
from oasst.simulation.measuring.api import Connection
from oasst.simulation.measuring.processor import Processor


def addresses() -> Iterator[str]:
    """Yield every path of a score, a board or a statistic, for the user with the most points and one in the middle."""
    people = Standing.objects.filter(frame=Frame.TOTAL.value, lang="").order_by("-points", "person")
    best, middle = people[0].person_id, people[people.count() // 2].person_id
    for frame in Frame:
        yield f"leaderboards/{frame.value}"
        yield f"trollboards/{frame.value}"
    for person in (best, middle):
        yield f"users/{person}/stats"
        for frame in Frame:
            yield f"users/{person}/stats/{frame.value}"
            yield f"users/{person}/stats/{frame.value}/window"
    yield "stats/"
    yield "stats/cached"
    for name in API_STATISTICS:
        yield f"stats/cached/{name}"
    yield "stats/tree_manager"
    yield "stats/tree_manager/state_counts"
    yield "stats/tree_manager/message_counts"
    yield "stats/tree_manager/message_counts?only_active=false"


def measure_reads(base_url: str, key: str, *, people: int, times: int) -> Iterator[str]:
    """Yield a line for each path, read by `people` clients at once, each with a persistent connection."""
    processor = Processor()
    yield f"{people} at once {'':60}{'p50':>7}{'p95':>7} | CPU of one: web, postgres"
    for address in addresses():
        took: list[float] = []
        asyncio.run(_ask(base_url, key, address, people, 3, []))
        before = processor.seconds()
        asyncio.run(_ask(base_url, key, address, people, times, took))
        used = {name: 1000 * (now - before[name]) / len(took) for name, now in processor.seconds().items()}
        cuts = quantiles(took, n=20, method="inclusive")
        yield f"{address:70}{cuts[9]:7.1f}{cuts[18]:7.1f} | {used['web']:6.1f}{used['postgres']:6.1f}"


async def _ask(base_url: str, key: str, address: str, people: int, times: int, took: list[float]) -> None:
    async def read(connection: Connection) -> None:
        for _ in range(times):
            begun = time.perf_counter()
            status = await connection.get(address)
            took.append(1000 * (time.perf_counter() - begun))
            if status not in (200, 404):  # 404: the user did nothing in that frame
                raise AssertionError(f"{address} answers {status}")
        connection.close()

    await asyncio.gather(*(read(Connection(base_url, key)) for _ in range(people)))
