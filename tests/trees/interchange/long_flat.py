"""Many messages of mixed origin, written and read by each program: `scripts/bench read-messages --messages 100000`.

Not part of the suite: pytest collects it only by name.
"""

import os
import time
from collections.abc import Iterator
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from oasst.accounts.models import User
from tests.readers import read_with_datasets_3, read_with_datasets_5, read_with_pandas
from tests.trees.interchange.test_flat import EVERYTHING, PUBLISHED, bare, export, made_here, rows_in, write
from tests.trees.interchange.test_flat import published as published_trees

pytestmark = pytest.mark.django_db
READERS = (read_with_pandas, read_with_datasets_3, read_with_datasets_5)


def test_everybody_reads_them(tmp_path: Path, alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = int(os.environ["MESSAGES"])
    with capsys.disabled():
        call_command("import_trees", write(tmp_path, trees(wanted)), stdout=StringIO())
        made_here(alice)
        paths = [tmp_path / f"messages.{end}" for end in ("jsonl", "jsonl.gz", "parquet")]
        for path in paths:
            begun = time.monotonic()
            export(path, *EVERYTHING)
            say(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB, written in {time.monotonic() - begun:.0f} s")
        rows = rows_in(paths[0])
        assert len(rows) >= wanted
        say(f"{len(rows)} rows, {sum(row['detoxify'] is None for row in rows)} of them without detoxify")
        for read_with in READERS:
            begun = time.monotonic()
            read = read_with(paths, tmp_path / read_with.__name__)
            assert read[0].rows == rows == read[1].rows
            assert by_id(read[2].rows) == by_id(rows)
            assert read_with is read_with_pandas or read[2].types == PUBLISHED
            took = time.monotonic() - begun
            say(f"{read_with.__name__} ({read[0].version}): the three files in {took:.0f} s, all equal")


def trees(messages: int) -> Iterator[Any]:
    """A fifth is nearly empty and comes first: more than the 10 MB from which types are learned."""
    yield from bare(messages // 15)
    left = messages - messages // 15 * 3
    for line in chain.from_iterable(published_trees(seed, 50) for seed in range(left)):
        if left <= 0:
            return
        left -= str(line).count("'message_id'")
        yield line


def by_id(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row["message_id"])


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
