"""Files that no data set should be: each is refused with file and line, and nothing is stored."""

import gzip
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow
import pytest
import zstandard
from django.core.management import CommandError, call_command
from pyarrow import parquet

from oasst.core.errors import Invalid
from tests.factories import conversation
from tests.trees.interchange.file_trees import Node, rows_of, sample
from trees.interchange.importer import import_files
from trees.interchange.reading import decompression
from trees.interchange.reading.trees import TreeReader
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, MessageTree

pytestmark = pytest.mark.django_db

A, B, C = (str(uuid4()) for _ in range(3))


def row(message_id: str, parent_id: str | None = None, **facts: Any) -> Node:
    role = "prompter" if parent_id is None else "assistant"
    return {"message_id": message_id, "parent_id": parent_id, "text": "x", "role": role, "lang": "en", **facts}


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def table(rows: list[Node], folder: Path) -> bytes:
    path = folder / "made.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=20)
    return path.read_bytes()


def refusal_of(*paths: Path) -> str:
    """Return why the import refuses these files, which nothing may survive."""
    with pytest.raises(CommandError) as refusal:
        call_command("import_trees", *paths, stdout=StringIO())
    assert not MessageTree.objects.exists() and not Message.objects.exists() and not Happening.objects.exists()
    told = str(refusal.value)
    assert "\n" not in told and len(told) < 400
    return told


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[bytes], str]:
    def refused(content: bytes) -> str:
        path = tmp_path / "bad.data"
        path.write_bytes(content)
        return refusal_of(path)

    return refused


GOOD = conversation()
BAD_LINES = {
    "csv": (b"message_id,text,role\n1,Hello,prompter\n", "line 1: no JSON"),
    "binary": (bytes(range(256)) * 9, "cannot be read as UTF-8|no JSON"),
    "random": (random.Random(1).randbytes(5000), "bad.data, line 1: "),
    "latin-1": (lines(GOOD) + '{"text": "é"}'.encode("latin-1"), "line 2: cannot be read as UTF-8: byte 11 is 0xe9"),
    "utf-16": (json.dumps(GOOD).encode("utf-16"), "save it as UTF-8"),
    "10 MB in a line": (lines(GOOD) + b'{"a": "' + b"x" * 10_000_000 + b'"}\n', "line 2: longer than 8 MB"),
    "10 MB without a line": (b"[" + b" " * 10_000_000, "line 1: no JSON: Expecting value"),
    "10 MB in an array": (b'["' + b"x" * 10_000_000 + b'"]', "line 1: longer than 8 MB"),
    "nul": (lines(GOOD, conversation() | {"a": "\0"}), "line 2: 'a' holds something that cannot be stored"),
    "surrogate": (lines(row(A, text="\ud800")), "line 1: .*half a character"),
    "surrogate in an id": (lines(row("\ud800")), "line 1: an id contains half a character"),
    "no id": (lines(row(A), row(None)), "line 2: message_id"),  # type: ignore[arg-type]
    "wrong type": (lines(row(A, text=5)), "line 1: message .*: text must be a string"),
    "wrong role": (lines(row(A), row(B, A, role="bot")), "line 1: message .*: role must be"),
    "number as id": (lines(row(7)), "line 1: message_id.* must be strings"),  # type: ignore[arg-type]
    "bad id": (lines(row("abc")), "line 1: message_tree_id must be a UUID"),
    "a list": (lines(row(A), [1]), "line 2: a line must be a JSON object"),
    "orphan": (lines(row(A), row(B, C)), f"line 2: message {B}: its parent {C} is in none of the rows"),
    "itself": (lines(row(A), row(B, B)), f"line 2: message {B} is below itself"),
    "circle": (lines(row(A), row(B, C), row(C, B)), f"line 2: message {B} is below itself"),
    "twice": (lines(row(A), row(A)), f"line 2: message {A} was in bad.data, line 1 already"),
    "other tree": (lines(row(A, message_tree_id=A), row(B, A, message_tree_id=C)), "line 2: .* is not the id of its"),
    "unended array": (json.dumps([GOOD, GOOD]).encode()[:-1], "line 1: the array does not end"),
    "half an array": (json.dumps([GOOD, GOOD]).encode()[:-9], "line 1: no JSON: "),
    "two arrays": (b"[]\n[]", "line 2: there is '\\[' after the end of the array"),
    "deep array": (b"[" * 100_000, "line 1: nested too deeply"),
    "deep chat": (b'{"conversations": ' + b"[" * 900 + b"]" * 900 + b"}", "line 1: turn 1 must be an object"),
    "digits": (b'{"conversation": [], "a": ' + b"9" * 5000 + b"}", "line 1: a number has too many digits"),
    "unknown": (lines({"a": 1}), "line 1: no known format: it has the keys 'a'"),
    "many keys": (lines(dict.fromkeys((str(n) * 900 for n in range(900)), 1)), "line 1: no known format"),
    "empty": (b"", "bad.data is empty"),
    "blank": (b" \n\n\t\n", "bad.data has nothing but blank lines|bad.data: has nothing but blank lines"),
    "zip": (b"PK\x03\x04" + b"x" * 99, "is a ZIP archive; unpack it first"),
    "bzip2": (b"BZh91AY&SY", "is compressed by bzip2"),
    "cut gzip": (gzip.compress(lines(GOOD))[:-9], "bad.data: cannot be read.*ended before"),
    "cut zstd": (zstandard.compress(lines(GOOD) * 99)[:-1], "bad.data: cannot be read.*ended before its end"),
    "damaged zstd": (b"\x28\xb5\x2f\xfd" + b"x" * 99, "bad.data: cannot be read"),
    "gzip bomb": (gzip.compress((b" " * 999 + b"\n") * 20_000), "decompresses to more than 300 times its size"),
    "zstd bomb": (zstandard.compress((b" " * 999 + b"\n") * 20_000), "decompresses to more than 300 times its size"),
    "one line of a bomb": (zstandard.compress(b"x" * 100_000_000), "line 1: longer than 8 MB|decompresses"),
    "two gzip bombs": (gzip.compress(gzip.compress(b"\n" * 99)), "line 1: cannot be read as UTF-8"),
    "no parquet": (b"PAR1" * 3, "the Parquet file is (truncated|damaged)"),
}


class TestBadContent:
    @pytest.mark.parametrize("what", BAD_LINES)
    def test_it_is_refused(self, refused: Callable[[bytes], str], what: str) -> None:
        content, told = BAD_LINES[what]
        assert re.search(told, refused(content))

    @pytest.mark.parametrize("damage", ["cut", "cut late", "footer", "page", "other columns", "no rows", "bytes"])
    def test_parquet(self, tmp_path: Path, damage: str, refused: Any, capfd: pytest.CaptureFixture[str]) -> None:
        rows = [one for tree in sample()[:9] for one in rows_of(tree)]
        content = bytearray(table(rows, tmp_path))
        if damage.startswith("cut"):
            content = content[: 1000 if damage == "cut" else -1]
        elif damage in ("footer", "page"):
            at = -400 if damage == "footer" else 4
            content[at : at + 300] = random.Random(1).randbytes(300)
        elif damage == "other columns":
            content = bytearray(table([{"a": 1}], tmp_path))
        elif damage == "bytes":
            content = bytearray(table([row(A) | {"text": b"\xff\xfe"}], tmp_path))
        else:
            path = tmp_path / "none.parquet"
            parquet.write_table(pyarrow.Table.from_pylist(rows).slice(0, 0), path)
            content = bytearray(path.read_bytes())
        told = refused(bytes(content))
        assert told.startswith("bad.data")
        assert capfd.readouterr().err.count("\n") < 3  # no stack trace of the library

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        assert "is a folder; name the files in it" in refusal_of(tmp_path)
        assert "missing.jsonl: cannot be read: No such file" in refusal_of(tmp_path / "missing.jsonl")
        (tmp_path / os.fsdecode(b"\xff.jsonl")).write_bytes(b"{")
        assert "line 1: no JSON" in refusal_of(tmp_path / os.fsdecode(b"\xff.jsonl"))


def array(rows: list[Node]) -> bytes:
    return b"[\n" + b",\n".join(json.dumps(one).encode() for one in rows) + b"\n]\n"


FORMS: dict[str, Callable[[list[Node], Path], bytes]] = {
    "jsonl": lambda rows, folder: lines(*rows),
    "json": lambda rows, folder: array(rows),
    "parquet": table,
    "jsonl.gz": lambda rows, folder: gzip.compress(lines(*rows)),
    "jsonl.zst": lambda rows, folder: zstandard.compress(lines(*rows)),
    "json.gz": lambda rows, folder: gzip.compress(array(rows)),
    "json.zst": lambda rows, folder: zstandard.compress(array(rows)),
}
"""Each form in which rows of messages may come."""
BAD_ROWS: dict[str, tuple[list[Node], str]] = {
    "orphan": ([row(A), row(B, C)], f"message {B}: its parent {C} is in none of the rows"),
    "circle": ([row(A), row(B, C), row(C, B)], f"message {B} is below itself"),
    "twice with another text": ([row(A), row(A, text="y")], f"message {A} was in "),
    "two parents": ([row(A), row(B, A), row(C), row(B, C)], f"message {B} was in "),
    "bad id": ([row(A), row("abc", A)], "must be a UUID"),
    "9 MB": ([row(A), row(B, A, text="x" * 9_000_000)], "(longer|more) than 8 MB"),
    "9 MB in a tree": ([row(A), *(row(str(uuid4()), A, text="x" * 900_000) for _ in range(10))], "more than 8 MB"),
}


class TestEachForm:
    """Every fault in every form: refused with the file and the line or row, and nothing is stored."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("what", BAD_ROWS)
    def test_bad_rows(self, refused: Callable[[bytes], str], tmp_path: Path, what: str, form: str) -> None:
        rows, told = BAD_ROWS[what]
        found = refused(FORMS[form](rows, tmp_path))
        place = "row" if form == "parquet" else "line"
        assert re.search(told, found) and re.match(rf"bad\.data, {place} \d+: ", found), found

    @pytest.mark.parametrize("form", FORMS)
    def test_the_end_is_missing(self, refused: Callable[[bytes], str], tmp_path: Path, form: str) -> None:
        rows = [one for tree in sample()[:9] for one in rows_of(tree)]
        content = FORMS[form](rows, tmp_path)
        told = "bad.data, line" if form in ("jsonl", "json") else "bad.data: cannot be read: .*(ended before|truncated)"
        for length in (len(content) // 2, len(content) - 3):
            assert re.match(told, refused(content[:length]))

    @pytest.mark.parametrize("form", [form for form in FORMS if form != "parquet"])
    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
    def test_another_encoding(self, refused: Callable[[bytes], str], form: str, encoding: str) -> None:
        made = FORMS[form.partition(".")[0]]([row(A), row(B, A, text="Caf?")], Path()).decode()
        content = made.replace("Caf?", "Café").encode(encoding)
        pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(form.partition(".")[2])
        found = refused(pack(content) if pack else content)
        assert re.match(r"bad\.data, line \d: cannot be read as UTF-8", found)


class TestSeveralFiles:
    @pytest.fixture
    def files(self, tmp_path: Path) -> Iterator[list[Path]]:
        yield [tmp_path / f"{number}.jsonl" for number in (1, 2)]

    def test_a_bad_second_file_keeps_the_first_one_out(self, files: list[Path]) -> None:
        files[0].write_bytes(lines(GOOD))
        files[1].write_bytes(lines(conversation(), {"a": 1}))
        assert "2.jsonl, line 2: " in refusal_of(*files)

    def test_another_tree_with_the_same_id(self, files: list[Path]) -> None:
        files[0].write_bytes(lines(GOOD))
        files[1].write_bytes(lines(GOOD | {"tree_state": "ranking"}))
        tree_id = GOOD["message_tree_id"]
        assert f"2.jsonl, line 1: message {tree_id} was in 1.jsonl, line 1 already" in refusal_of(*files)

    def test_another_row_with_the_same_id(self, files: list[Path]) -> None:
        files[0].write_bytes(lines(row(A)))
        files[1].write_bytes(lines(row(B), row(A, text="other")))
        assert f"2.jsonl, line 2: message {A} was in 1.jsonl, line 1 already" in refusal_of(*files)

    def test_a_row_and_a_tree_with_the_same_id(self, files: list[Path]) -> None:
        files[0].write_bytes(lines(GOOD))
        files[1].write_bytes(lines(row(str(GOOD["message_tree_id"]))))
        assert "2.jsonl, line 1: message" in refusal_of(*files)

    def test_the_same_file_twice_is_read_once(self, files: list[Path]) -> None:
        files[0].write_bytes(lines(GOOD, conversation()))
        files[1].write_bytes(lines(GOOD))
        result = import_files([files[0], files[0], files[1]], policy=TreePolicy())
        assert (result.trees, result.skipped) == (2, 3)

    def test_a_message_of_another_tree_that_is_here(self, files: list[Path]) -> None:
        files[0].write_bytes(lines(row(A), row(B, A)))
        import_files([files[0]], policy=TreePolicy())
        files[1].write_bytes(lines(row(str(uuid4())), row(C), row(B, C)))
        with pytest.raises(CommandError, match=r"2.jsonl, line 2: a message id is already used in another tree"):
            call_command("import_trees", files[1])
        assert MessageTree.objects.count() == 1


class TestReports:
    def test_a_dry_run_lists_everything_and_writes_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "in.jsonl"
        path.write_bytes(
            lines(GOOD, {"a": 1}, conversation(lang="de"), conversation() | {"tree_state": "odd"}) + b"{\n"
        )
        out, told = StringIO(), StringIO()
        call_command("import_trees", "--dry-run", path, stdout=out, stderr=told)
        assert "Trees by state: ready_for_export (2)." in out.getvalue()
        assert "Messages by language: en (3), de (3)." in out.getvalue()
        assert "Formats: trees." in out.getvalue()
        assert "2 trees with 6 messages to import, 0 already here, 3 lines refused." in out.getvalue()
        assert [line.split(": ")[1] for line in told.getvalue().splitlines()] == [
            "in.jsonl, line 2",
            "in.jsonl, line 4",
            "in.jsonl, line 5",
        ]
        assert not MessageTree.objects.exists()

    def test_what_cannot_be_imported_is_left_out_on_request(self, tmp_path: Path) -> None:
        path = tmp_path / "in.jsonl"
        path.write_bytes(lines(*({"a": n} for n in range(150)), *rows_of(sample()[0]), row(A, C), row(A), row(A)))
        out, told = StringIO(), StringIO()
        call_command("import_trees", "--format", "messages", "--skip-refused", path, stdout=out, stderr=told)
        assert "1 trees with 4 messages imported, 0 already here, 153 lines refused." in out.getvalue()
        assert len(told.getvalue().splitlines()) == 101
        assert MessageTree.objects.count() == 1

    def test_a_refused_tree_takes_no_ids_from_later_ones(self, tmp_path: Path) -> None:
        first, mixed, later = conversation(), conversation(), conversation()
        replies = [first["prompt"]["replies"][0], later["prompt"]["replies"][0]]
        mixed["prompt"]["replies"] = [
            node | {"parent_id": mixed["prompt"]["message_id"], "replies": []} for node in replies
        ]
        path = tmp_path / "in.jsonl"
        path.write_bytes(lines(first, mixed, later))
        out = StringIO()
        call_command("import_trees", "--skip-refused", path, stdout=out, stderr=StringIO())
        assert "2 trees" in out.getvalue() and "1 lines refused" in out.getvalue()

    def test_a_pipe_is_refused(self, tmp_path: Path) -> None:
        """Its first reader would take lines from the next ones."""
        read, write = os.pipe()
        try:
            os.write(write, lines(GOOD))
            os.close(write)
            assert refusal_of(Path(f"/dev/fd/{read}")).startswith(f"{read} is a pipe; write it to a file first")
        finally:
            os.close(read)

    def test_what_is_here_already_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "in.jsonl"
        path.write_bytes(lines(GOOD))
        import_files([path], policy=TreePolicy())
        path.write_bytes(lines(GOOD, conversation()))
        result = import_files([path], policy=TreePolicy(), dry_run=True)
        assert (result.trees, result.skipped) == (1, 1)
        assert MessageTree.objects.count() == 1

    def test_progress_counts_every_byte_and_tree(self, tmp_path: Path) -> None:
        path = tmp_path / "in.jsonl"
        path.write_bytes(lines(GOOD, conversation()))
        done: dict[str, int] = {}

        @contextmanager
        def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
            seen: list[int] = []
            yield seen.append
            done[f"{what} {total} {unit}"] = sum(seen)

        import_files([path], policy=TreePolicy(), progress=progress)
        size = path.stat().st_size
        assert done == {f"Checking {size} B": size, "Writing 2 trees": 2}


class TestLimits:
    def test_a_small_file_may_repeat_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "in.gz"
        path.write_bytes(gzip.compress(lines(GOOD) + b"\n" * 1_000_000))
        assert len(list(TreeReader().read([path]))) == 1
        monkeypatch.setattr(decompression, "FREE_BYTES", 1000)
        with pytest.raises(Invalid, match="decompresses to more than 300 times"):
            list(TreeReader().read([path]))

    def test_a_tree_of_rows_is_bounded_too(self, tmp_path: Path) -> None:
        path = tmp_path / "in.jsonl"
        path.write_bytes(lines(row(A), *(row(str(uuid4()), A, text="x" * 1_000_000) for _ in range(9))))
        with pytest.raises(Invalid, match="line 1: a tree of more than 8 MB"):
            list(TreeReader().read([path]))
