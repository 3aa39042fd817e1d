"""The cost of rendering Markdown: `scripts/bench render`. Needs no database. Renders each text of the test data several
times, without the cache; the fastest round shows the cost of the code with the least noise of the machine.
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
    """Return the texts of all messages."""

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
    for _ in range(rounds + 1):  # the first round also does lazy imports
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
