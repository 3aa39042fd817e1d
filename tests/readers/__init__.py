"""Read exported files as researchers do, each library in its own process: pandas, two versions of `datasets`, Polars,
DuckDB.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oasst.core.json_lines import read_lines
from tests.paths import ROOT

# Version 5 is a development dependency. Version 3 needs older packages, so it has its own folder below var/ and shares
# only pyarrow, pandas and NumPy.
DATASETS_3 = ("datasets==3.6.0", "dill==0.3.8", "fsspec==2025.3.0", "huggingface_hub==0.36.0", "multiprocess==0.70.16")
# 240 MB, for measurements and not for the suite.
POLARS = ("polars==2.1.0", "polars-runtime-32==2.1.0")
DUCKDB = ("duckdb==2.0.1",)


@dataclass(frozen=True)
class Read:
    """A file as a library reads it."""

    version: str
    types: dict[str, Any]  # by column; a struct as {key: type}, a list as [type]
    rows: list[Any]


def read_with_pandas(files: Sequence[Path], scratch: Path) -> list[Read]:
    return _read("pandas", files, scratch, {})


def read_with_datasets_5(files: Sequence[Path], scratch: Path, *, chunk: int | None = None) -> list[Read]:
    """`chunk`: the library infers types from this many bytes of a JSON Lines file; default: its own."""
    return _read("datasets", files, scratch, {}, chunk)


def read_with_datasets_3(files: Sequence[Path], scratch: Path, *, chunk: int | None = None) -> list[Read]:
    """Skips the test if version 3 is missing and cannot be fetched."""
    return _read("datasets", files, scratch, {"PYTHONPATH": str(_fetched(DATASETS_3))}, chunk)


def read_with_polars(files: Sequence[Path], scratch: Path) -> list[Read]:
    """Parquet only. Skips the test if it is missing and cannot be fetched."""
    return _read("polars", files, scratch, {"PYTHONPATH": str(_fetched(POLARS))})


def read_with_duckdb(files: Sequence[Path], scratch: Path) -> list[Read]:
    """Skips the test if it is missing and cannot be fetched."""
    return _read("duckdb", files, scratch, {"PYTHONPATH": str(_fetched(DUCKDB))})


def _read(
    reader: str, files: Sequence[Path], scratch: Path, env: dict[str, str], chunk: int | None = None
) -> list[Read]:
    scratch.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.readers.program", reader, str(scratch), str(chunk or 0), *map(str, files)]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"HF_HOME": str(scratch / "home"), "HF_HUB_OFFLINE": "1"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return [
        Read(result["version"], result["types"], [json.loads(line) for line in read_lines(Path(result["rows"]))])
        for result in map(json.loads, run.stdout.splitlines())
    ]


def _fetched(pins: Sequence[str]) -> Path:
    """Return the folder of these packages, fetched once per set of pins. An interrupted download leaves no folder."""
    folder = ROOT / "var" / "test-packages" / "-".join(pins).replace("==", "-")
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--timeout=10", "--retries=1"]
    run = subprocess.run([*install, f"--target={partial}", *pins], capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"{pins[0]} is not in var/ and could not be fetched: {run.stderr.strip()[-200:]}")
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another worker was faster
            raise
        shutil.rmtree(partial)
    return folder
