"""Read files with one library and print what it reads: `python -m tests.readers.program READER SCRATCH CHUNK FILE…`

Prints one line of JSON per file; the rows go into files in SCRATCH. Independent of the site.
"""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORMATS = {".parquet": "parquet", ".jsonl": "json", ".gz": "json", ".zst": "json"}


def main(reader: str, scratch: str, chunk: str, *files: str) -> None:
    readers = {"pandas": with_pandas, "datasets": with_datasets, "polars": with_polars, "duckdb": with_duckdb}
    read = readers[reader]
    for number, name in enumerate(files):
        version, types, rows = read(Path(name), Path(scratch), int(chunk))
        target = Path(scratch) / f"{reader}-{version}-{number}.jsonl"
        with target.open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        print(json.dumps({"version": version, "types": types, "rows": str(target)}))  # noqa: T201


def with_datasets(path: Path, scratch: Path, chunk: int) -> tuple[str, dict[str, Any], Iterable[Any]]:
    import datasets
    from datasets import load_dataset

    datasets.disable_progress_bars()
    kind = FORMATS[path.suffix]
    options = {"chunksize": chunk} if chunk and kind == "json" else {}
    found = load_dataset(kind, data_files=str(path), split="train", cache_dir=str(scratch / "cache"), **options)
    return datasets.__version__, {name: arrow_type(one) for name, one in found.features.items()}, found


def arrow_type(feature: Any) -> Any:
    """Return the type of a column: its name, `{key: type}` or `[type]`."""
    import pyarrow
    from datasets import Features

    return described(Features({"it": feature}).arrow_schema.field("it").type, pyarrow.types)


def described(kind: Any, types: Any) -> Any:
    if types.is_struct(kind):
        return {field.name: described(field.type, types) for field in kind}
    if types.is_list(kind):
        return [described(kind.value_type, types)]
    return str(kind)


def with_pandas(path: Path, scratch: Path, chunk: int) -> tuple[str, dict[str, Any], Iterable[Any]]:
    import pandas

    found = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_json(path, lines=True)
    types = {name: str(kind) for name, kind in found.dtypes.items()}
    return pandas.__version__, types, map(plain, found.to_dict("records"))


def with_polars(path: Path, scratch: Path, chunk: int) -> tuple[str, dict[str, Any], Iterable[Any]]:
    import polars  # type: ignore[import-not-found]  # fetched where it is measured

    found = polars.read_parquet(path)
    return polars.__version__, {name: str(kind) for name, kind in found.schema.items()}, map(plain, found.to_dicts())


def with_duckdb(path: Path, scratch: Path, chunk: int) -> tuple[str, dict[str, Any], Iterable[Any]]:
    import duckdb  # type: ignore[import-not-found]  # fetched where it is measured

    found = duckdb.read_parquet(str(path)) if path.suffix == ".parquet" else duckdb.read_json(str(path))
    types = {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}
    rows = (plain(dict(zip(found.columns, row, strict=True))) for row in found.fetchall())
    return duckdb.__version__, types, rows


def plain(value: Any) -> Any:
    """Return the value as in JSON: pandas has NaN for missing values, floats for their integers, and arrays for lists.

    Rounded, because pandas reads numbers in JSON with a small error.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 9)
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
