"""Files of mixed origin, imported, exported, imported again and converted: `scripts/bench import-files`.

Not part of the suite: pytest collects it only by name. Each command is a process of its own, for its peak of memory.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pyarrow
import pytest
import zstandard
from django.db import connection
from pyarrow import parquet

from tests.paths import ROOT
from tests.trees.interchange.file_trees import rows_of, sample
from tests.trees.interchange.test_flat import published
from trees.models import Message

Say = Callable[[str], None]
MESSAGES = int(os.environ.get("MESSAGES", "100000"))


def test_mixed_files(transactional_db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"{text}\n")

    files = make_files(tmp_path, MESSAGES // 5)
    say(f"\n{', '.join(f'{path.name} {path.stat().st_size / 1e6:.0f} MB' for path in files)}")
    run(say, "import_trees", "--dry-run", *files)
    run(say, "import_trees", *files)
    assert Message.objects.count() >= MESSAGES * 0.9
    run(say, "import_trees", *files)
    everything = ("--state", "all", "--include-deleted", "--include-rejected", "--include-synthetic")
    run(say, "export_trees", *everything, "--output", tmp_path / "out.jsonl.gz")
    run(say, "export_messages", *everything, "--output", tmp_path / "out.parquet")
    for written, command in (
        (tmp_path / "out.jsonl.gz", "export_trees"),
        (tmp_path / "out.parquet", "export_messages"),
    ):
        begin_anew()
        run(say, "import_trees", written)
        again = written.with_name(f"again-{written.name}")
        run(say, command, *everything, "--output", again)
        say(f"{written.name} and {again.name}: {compared(written, again)}")
    run(say, "oasst_data", "convert", tmp_path / "out.parquet", tmp_path / "back.jsonl.zst")
    run(say, "oasst_data", "convert", *files, tmp_path / "all.parquet")
    run(say, "oasst_data", "filter", tmp_path / "all.parquet", tmp_path / "some.jsonl", "--synthetic", "without")
    run(say, "oasst_data", "stats", tmp_path / "all.parquet")


def begin_anew() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE trees_messagetree CASCADE")
    assert not Message.objects.exists()


def compared(one: Path, other: Path) -> str:
    """Return how many messages both files have. Fail if they differ."""
    if one.suffix == ".parquet":
        assert one.read_bytes() == other.read_bytes()
        return f"the same bytes, {parquet.read_metadata(one).num_rows} rows"
    with gzip.open(one) as first, gzip.open(other) as second:
        number = 0
        for number, (line, again) in enumerate(zip(first, second, strict=True), start=1):
            assert line == again, f"line {number}"
        return f"the same {number} lines"


def run(say: Say, *command: Any) -> None:
    begun = time.monotonic()
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
        "OASST_CRASH_DATABASE": connection.settings_dict["NAME"],
        "LOG_LEVEL": "WARNING",
    }
    with TemporaryFile("w+") as told:
        argv = [sys.executable, "manage.py", *map(str, command)]
        process = subprocess.Popen(argv, cwd=ROOT, env=os.environ | variables, stdout=told, stderr=told)
        peak = cpu = 0.0
        while process.poll() is None:
            peak, cpu = max(peak, peak_of(process.pid)), max(cpu, cpu_of(process.pid))
            time.sleep(0.1)
        took = time.monotonic() - begun
        told.seek(0)
        text = told.read().strip()
    name = " ".join(str(part) if not isinstance(part, Path) else part.name for part in command)
    say(
        f"{name[:110]}\n  {took:.1f} s ({cpu:.1f} of CPU), {MESSAGES / took:.0f} a second, {peak:.0f} MiB: {text[-90:]}"
    )
    assert process.returncode == 0, text


def peak_of(pid: int) -> float:
    """Return the most memory a process had, in MiB. `ru_maxrss` would count that of pytest, its parent, too."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0


def make_files(folder: Path, each: int) -> list[Path]:
    trees = list(of_trees(each))
    write(folder / "trees.jsonl", trees)
    rows = [row for tree in of_trees(each, seed=1000) for row in rows_of(tree)]
    random.Random(1).shuffle(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    parquet.write_table(table, folder / "rows.parquet")
    chats = list(of_chats(each))
    shared = [
        {"id": str(n), "conversations": turns(chat, "from", "value", "human", "gpt")} for n, chat in enumerate(chats)
    ]
    about = {"model": "m", "language": "English"}
    arena = [
        {"conversation_id": str(n), **about, "conversation": turns(chat, "role", "content", "user", "assistant")}
        for n, chat in enumerate(chats)
    ]
    (folder / "lmsys.jsonl.zst").write_bytes(zstandard.compress(lines(arena)))
    pairs = [
        {"chosen": spoken([*chat[:3], f"Yes, {n}."]), "rejected": spoken([*chat[:3], "No."])}
        for n, chat in enumerate(of_chats(each, length=5))
    ]
    (folder / "hh.jsonl.gz").write_bytes(gzip.compress(lines(pairs)))
    (folder / "sharegpt.json").write_text(json.dumps(shared, indent=1))
    names = ("trees.jsonl", "rows.parquet", "sharegpt.json", "lmsys.jsonl.zst", "hh.jsonl.gz")
    return [folder / name for name in names]


def turns(chat: list[str], speaker: str, text: str, *names: str) -> list[Any]:
    return [{speaker: names[n % 2], text: said} for n, said in enumerate(chat)]


def of_trees(messages: int, seed: int = 0) -> Iterator[Any]:
    while messages > 0:
        for tree in published(seed, trees=50):
            messages -= str(tree).count("'message_id'")
            yield tree
            if messages <= 0:
                return
        seed += 1


def of_chats(messages: int, length: int = 4) -> Iterator[list[str]]:
    texts = [node["text"] for tree in sample() for node in [tree["prompt"], *tree["prompt"]["replies"]]]
    choose = random.Random(length)
    for _ in range(messages // length):
        yield [choose.choice(texts) for _ in range(length)]


def spoken(chat: list[str]) -> str:
    return "".join(f"\n\n{'Assistant' if n % 2 else 'Human'}: {text}" for n, text in enumerate(chat))


def lines(values: list[Any]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def write(path: Path, values: list[Any]) -> None:
    path.write_bytes(lines(values))
