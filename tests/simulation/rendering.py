"""What it costs to render Markdown: `scripts/bench render`. Needs no database. Each text of the test data is rendered
again and again, without the cache; of so many rounds the fastest says what the code costs, not the machine.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from oasst.core.markdown import rendering
from tests.paths import SAMPLE


def texts() -> list[str]:
    """Of everybody."""

    def walk(message: dict[str, Any]) -> Iterator[str]:
        yield message["text"]
        for reply in message.get("replies") or []:
            yield from walk(reply)

    lines = SAMPLE.read_text().rstrip("\n").split("\n")
    return [text for line in lines for text in walk(json.loads(line)["prompt"])]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench render", description="What does rendering Markdown cost?")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    found = texts()
    render = rendering._render.__wrapped__
    took = []
    for _ in range(rounds + 1):  # the first one also loads what is loaded late
        started = time.process_time()
        for text in found:
            render(text)
        took.append((time.process_time() - started) * 1000 / len(found))
    ordered = sorted(took[1:])
    sys.stdout.write(
        f"{len(found)} texts, {sum(map(len, found))} characters. CPU of a text: {ordered[0]:.3f} ms in the fastest of "
        f"{rounds} rounds, {ordered[len(ordered) // 2]:.3f} in the middle one\n"
    )


if __name__ == "__main__":
    main()
