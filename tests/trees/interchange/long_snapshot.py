"""Every file of a snapshot, read by each program: `scripts/bench snapshot-readers`.

Not part of the suite: pytest collects it only by name.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.factories import new_person
from tests.paths import SAMPLE
from tests.readers import (
    read_with_datasets_3,
    read_with_datasets_5,
    read_with_duckdb,
    read_with_pandas,
    read_with_polars,
)
from tests.readers.program import plain
from tests.trees.interchange.test_snapshots import content, finished_tree
from trees.interchange.forms import FORMS
from trees.interchange.tree_record import SPLITS

pytestmark = pytest.mark.django_db
TABLES = (read_with_pandas, read_with_datasets_3, read_with_datasets_5, read_with_polars, read_with_duckdb)
LINES = (read_with_datasets_3, read_with_datasets_5)


def test_everybody_reads_all_files(tmp_path: Path, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    with capsys.disabled():
        call_command("import_trees", SAMPLE, "--license", "Apache-2.0")
        for number in range(int(os.environ["TREES"])):
            finished_tree(new_person(f"Author{number}"))
        folder = tmp_path / "out"
        call_command("snapshot_create", "--name", "readers", "--output", folder, "--include-synthetic")
        rows = {(form.name, split): rows_of(folder, form.name, split) for form in FORMS for split in SPLITS}
        say(", ".join(f"{form.name} {sum(len(rows[form.name, split]) for split in SPLITS)}" for form in FORMS))
        for ending, readers in ((".parquet", TABLES), (".jsonl.zst", LINES)):
            for read_with in readers:
                # `datasets` refuses a file without rows, and the card names none.
                paths = {
                    key: folder / "data" / key[0] / f"{key[1]}{ending}"
                    for key, found in rows.items()
                    if found or read_with not in LINES
                }
                begun = time.monotonic()
                read = read_with(list(paths.values()), tmp_path / f"{read_with.__name__}{ending}")
                for (form, split), one in zip(paths, read, strict=True):
                    assert list(map(plain, one.rows)) == rows[form, split], f"{form} {split}"
                if ending == ".parquet" and read_with is not read_with_pandas:  # its integers are floats beside a null
                    types = {(form, json.dumps(one.types)) for (form, _), one in zip(paths, read, strict=True)}
                    assert len(types) == len(FORMS), "the same in all splits"
                took = time.monotonic() - begun
                say(f"{read_with.__name__} ({read[0].version}): {len(read)} files *{ending} in {took:.0f} s, all equal")


def rows_of(folder: Path, form: str, split: str) -> list[Any]:
    return [plain(json.loads(line)) for line in content(folder / f"data/{form}/{split}.jsonl.zst").splitlines()]


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
