"""Measuring API clients over HTTP: cycles of asking, acknowledging and answering, and the time of each call.

The HTTP client is a few lines of asyncio, so that it costs less than the site.
"""

import asyncio
import gzip
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from oasst.simulation.measuring.processor import Processor, Stolen
from oasst.simulation.measuring.written_bytes import Written

BETWEEN_ARRIVALS = 0.02  # seconds, so that users do not all start at once
AFTERWARDS = 3  # seconds for the jobs that answers cause


@dataclass
class Run:
    """The results of one measurement."""

    seconds: float = 0
    stolen: str = ""
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by part of the site
    webs: list[float] = field(default_factory=list)  # CPU seconds of each web process
    yardsticks: list[float] = field(default_factory=list)  # milliseconds of CPU for the same computation, repeated
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # milliseconds by operation
    statuses: Counter[int] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)  # ids of tasks
    written: list[str] = field(default_factory=list)  # lines of a table: bytes of WAL and changed rows of one cycle
    troubles: list[str] = field(default_factory=list)

    def table(self) -> list[str]:
        lines = [f"{'':16}{'calls':>7}{'p50':>8}{'p95':>8}{'p99':>8}  ms"]
        for name, times in sorted(self.times.items()):
            ordered = sorted(times)
            cells = "".join(f"{ordered[int(share * (len(ordered) - 1))]:8.1f}" for share in (0.5, 0.95, 0.99))
            lines.append(f"{name:16}{len(times):7}{cells}")
        return lines

    def processor(self) -> str:
        """Return lines about the CPU milliseconds of a cycle, by part of the site."""
        most_first = sorted(self.cpu.items(), key=lambda part: -part[1])
        each = {name: 1000 * seconds / max(1, len(self.answered)) for name, seconds in most_first}
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in each.items())
        shares = ", ".join(f"{seconds / max(0.01, sum(self.webs)):.0%}" for seconds in self.webs)
        least, mean = min(self.yardsticks), sum(self.yardsticks) / len(self.yardsticks)
        return (
            f"CPU of a cycle: {sum(each.values()):.1f} ms ({parts}); of the web's, each process: {shares}\n"
            f"yardstick: {mean:.1f} ms of CPU, {least:.1f} at best: {mean / least:.2f} times as long; {self.stolen}"
        )


class Connection:
    """One kept-alive HTTP connection."""

    def __init__(self, base_url: str, key: str) -> None:
        parts = urlsplit(base_url)
        self.host, self.port, self.key = parts.hostname or "localhost", parts.port or 80, key
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        return self.streams

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        raw = json.dumps(body).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
        status, headers, content = await self._send("POST", path, head, raw)
        if "content-encoding" in headers:
            content = gzip.decompress(content)
        return status, json.loads(content) if content else None

    async def get(self, path: str) -> int:
        """Return the status after the whole response has come. It is not decoded, since that would cost client time."""
        status, _, _ = await self._send("GET", path)
        return status

    async def _send(
        self, method: str, path: str, headers_of_body: str = "", raw: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self.open()
        head = (
            f"{method} /api/v1/{path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nX-API-Key: {self.key}\r\n"
            f"Accept-Encoding: gzip\r\n{headers_of_body}\r\n"
        )
        writer.write(head.encode() + raw)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split()[1]), headers, content

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def contribute(name: str, lang: str, rounds: range, connection: Connection, run: Run) -> None:
    """Do any kind of task for one user, once for each round."""
    who = {"id": name, "display_name": name, "auth_method": "local"}

    async def call(label: str, path: str, body: Any) -> tuple[int, Any]:
        begun = time.perf_counter()
        status, answer = await connection.post(path, body)
        run.times[label].append((time.perf_counter() - begun) * 1000)
        run.statuses[status] += 1
        if (status >= 500 and status != 503) or (status == 503 and answer["error_code"] != 1006):
            run.troubles.append(f"{label}: {status} {answer}")
        return status, answer

    for number in rounds:
        status, task = await call("ask", "tasks/", {"type": "random", "user": who, "lang": lang})
        if status != 200:
            continue
        own = f"{name}-{number}"
        await call("ack", f"tasks/{task['id']}/ack", {"message_id": own})
        label, body = answer_to(task, own)
        status, answer = await call(label, "tasks/interaction", {**body, "user": who})
        if status == 200:
            run.answered.append(task["id"])
        else:
            run.troubles.append(f"{label}: {status} {answer}")
    connection.close()


def answer_to(task: dict[str, Any], own: str) -> tuple[str, dict[str, Any]]:
    """Return (name of the operation, body) for an answer to the task."""
    if "valid_labels" in task:
        labels = dict.fromkeys(task["mandatory_labels"], 0)
        body = {"type": "text_labels", "message_id": task["message_id"], "task_id": task["id"], "text": ""}
        return "send labels", {**body, "labels": labels}
    if "replies" in task:
        ranking = list(range(len(task["replies"])))
        return "send ranking", {"type": "message_ranking", "message_id": own, "ranking": ranking}
    reply = {"type": "text_reply_to_message", "message_id": own, "user_message_id": f"m-{own}"}
    return "send text", {**reply, "text": f"Words of {own}: why, and since when?"}


def measure_api(base_url: str, key: str, *, rounds: range, people: int, langs: Sequence[str], prefix: str) -> Run:
    """Let `people` users work at once, each for these rounds. The numbers of the rounds must not repeat for a `prefix`,
    since they are part of the ids that the client sends.
    """
    run = Run()
    processor = Processor()

    async def run_all() -> None:
        connections = [Connection(base_url, key) for _ in range(people)]
        for connection in connections:
            await connection.open()
            await asyncio.sleep(BETWEEN_ARRIVALS)
        stolen, begun = Stolen(), time.perf_counter()
        yardstick = asyncio.ensure_future(_measure_machine(run))
        users = (
            contribute(f"{prefix}{number}", langs[number % len(langs)], rounds, connection, run)
            for number, connection in enumerate(connections)
        )
        await asyncio.gather(*users)
        yardstick.cancel()
        run.seconds, run.stolen = time.perf_counter() - begun, str(stolen)

    cpu, webs, written = processor.seconds(), processor.of_each_web_process(), Written()
    asyncio.run(run_all())
    time.sleep(AFTERWARDS)  # the CPU of jobs counts too
    run.cpu = {name: seconds - cpu[name] for name, seconds in processor.seconds().items()}
    run.webs = [now - then for now, then in zip(processor.of_each_web_process(), webs, strict=True)]
    run.cpu["client"] -= sum(run.yardsticks) / 1000
    run.written = written.lines(max(1, len(run.answered)))
    return run


async def _measure_machine(run: Run) -> None:
    """Time the same computation again and again: on a busy machine it takes more CPU, since cores share caches."""
    while True:
        begun = time.thread_time()
        json.loads(json.dumps({str(number): str(number * number) for number in range(5000)}))
        run.yardsticks.append(1000 * (time.thread_time() - begun))
        await asyncio.sleep(0.2)
