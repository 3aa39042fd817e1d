"""The cost of rendering answers while they stream: `scripts/bench answer-pages`. Needs no database and no model.

Real answers of the test data stream at a steady pace, each to its own page, which takes everything at once. This
measures the CPU time of this process, including the encoding of frames, without sockets, Redis and the engine.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from inference.turns.events import Token, as_json
from inference.turns.rendering import AnswerPage
from oasst.api.compact_json import dump
from tests.paths import SAMPLE

PIECE = 4
"""Characters: about one token of English."""


def answers() -> list[str]:
    """Return the answers of assistants, the longest first."""

    def walk(message: dict[str, Any]) -> Iterator[str]:
        if message["role"] == "assistant":
            yield message["text"]
        for reply in message.get("replies") or []:
            yield from walk(reply)

    found = [text for line in SAMPLE.read_text().rstrip("\n").split("\n") for text in walk(json.loads(line)["prompt"])]
    return sorted(found, key=len, reverse=True)


class Measured:
    def __init__(self) -> None:
        self.frames = self.bytes = 0

    async def take(self, frame: dict[str, Any]) -> None:
        self.frames += 1
        self.bytes += len(dump(frame))


async def stream(text: str, seconds: float, pace: float, measured: Measured, rendered: bool) -> None:
    """Stream `text` in `pace` pieces per second, starting again at its end until the time is over."""
    async with AnswerPage(uuid4(), measured.take, 0) as page:
        position, started = 0, time.monotonic()
        text_so_far = ""
        for number in range(int(seconds * pace)):
            piece = text[position : position + PIECE] or "\n\n"
            position = position + PIECE if text[position : position + PIECE] else 0
            text_so_far += piece
            token = Token(len(text_so_far), piece)
            if rendered:
                page.add(token)
            else:
                await measured.take(as_json(token))
            await asyncio.sleep(max(0.0, started + (number + 1) / pace - time.monotonic()))
        if rendered:
            await page.finish(text_so_far)


async def measure(pages: int, seconds: float, pace: float, rendered: bool) -> None:
    measured = Measured()
    texts = answers()[:pages]
    began = time.process_time()
    await asyncio.gather(*[stream(texts[n % len(texts)], seconds, pace, measured, rendered) for n in range(pages)])
    spent = time.process_time() - began
    kind = "rendered" if rendered else "raw text"
    print(  # noqa: T201
        f"{kind}: {pages} pages, {pace:g} pieces a second each: {spent / seconds * 1000:.0f} ms of CPU a second, "
        f"{measured.frames / seconds:.0f} frames, {measured.bytes / seconds / 1000:.1f} kB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench answer-pages", description="What does rendering answers cost?")
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pace", type=float, default=25, help="pieces of four characters a second, for each page")
    chosen = parser.parse_args()
    for rendered in (False, True):
        asyncio.run(measure(chosen.pages, chosen.seconds, chosen.pace, rendered))


if __name__ == "__main__":
    main()
