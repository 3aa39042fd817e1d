"""oasst_data works on files alone. No test here may touch a database: pytest-django would refuse it."""

import csv
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from oasst.core.json_lines import read_lines
from tests.paths import ROOT, SAMPLE
from tests.trees.interchange.file_trees import Node, by_id, nodes_of, sample
from tests.trees.interchange.test_formats import read
from trees.interchange.tree_record import split_of


def run(*arguments: Any) -> tuple[str, str]:
    """Return what the command said on standard output and standard error."""
    out, told = StringIO(), StringIO()
    call_command("oasst_data", *map(str, arguments), stdout=out, stderr=told)
    return out.getvalue(), told.getvalue()


def write(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in read_lines(path)]


def ids(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def node(number: int, *replies: Node, **facts: Any) -> Node:
    for reply in replies:
        reply["parent_id"] = ids(number)
        reply["role"] = "prompter" if facts.get("role") == "assistant" else "assistant"
    return {"message_id": ids(number), "text": f"text {number}", "role": "prompter", "replies": [*replies], **facts}


def tree(prompt: Node, **facts: Any) -> Node:
    return {"message_tree_id": prompt["message_id"], "tree_state": "ready_for_export", "prompt": prompt, **facts}


def label(mean: float) -> Node:
    return {"quality": {"value": mean, "count": 3}}


def numbers(path: Path) -> list[int]:
    """Return the numbers of all messages in the file."""
    found = [one["message_id"] for line in lines_of(path) for one in (nodes_of(line) if "prompt" in line else [line])]
    return sorted(int(message_id[-12:]) for message_id in found)


class TestConvert:
    def test_it_works(self, tmp_path: Path) -> None:
        out, told = run("convert", SAMPLE, tmp_path / "messages.parquet")
        assert (out, told) == ("", f"50 trees with 575 messages written to {tmp_path / 'messages.parquet'}.\n")
        run("convert", tmp_path / "messages.parquet", tmp_path / "rows.jsonl.gz", "--as", "messages")
        run("convert", tmp_path / "rows.jsonl.gz", tmp_path / "trees.jsonl")
        assert by_id(lines_of(tmp_path / "trees.jsonl")) == by_id(sample())

    def test_several_files_become_one(self, tmp_path: Path) -> None:
        first, second = write(tmp_path / "1.jsonl", *sample()[:7]), write(tmp_path / "2.jsonl", *sample()[7:])
        run("convert", first, second, tmp_path / "all.jsonl.zst")
        assert read(tmp_path / "all.jsonl.zst") == sample()

    def test_a_bad_line_leaves_an_earlier_output_as_it_was(self, tmp_path: Path) -> None:
        output = tmp_path / "out.jsonl"
        output.write_text("earlier")
        bad = write(tmp_path / "bad.jsonl", *sample(), {"a": 1})
        for name in ("out.jsonl", "new.jsonl", "new.parquet"):
            with pytest.raises(CommandError, match=r"^bad.jsonl, line 51: "):
                run("convert", bad, tmp_path / name)
        assert output.read_text() == "earlier" and sorted(os.listdir(tmp_path)) == ["bad.jsonl", "out.jsonl"]

    def test_values_that_rows_cannot_hold_are_counted(self, tmp_path: Path) -> None:
        _, told = run("convert", write(tmp_path / "in.jsonl", tree(node(1, user_id=5))), tmp_path / "out.parquet")
        assert "Null, because the values had another type: user_id (1)." in told

    def test_names_that_say_nothing(self, tmp_path: Path) -> None:
        for name, options in (("out.csv", ()), ("out", ()), ("out.parquet", ("--as", "trees"))):
            with pytest.raises(CommandError, match=r"must end in|trees are written as JSON Lines"):
                run("convert", SAMPLE, tmp_path / name, *options)

    @pytest.mark.slow  # starts Python
    def test_it_needs_no_site(self, tmp_path: Path) -> None:
        variables = {"OASST_HOME": str(tmp_path / "home"), "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
        command = [sys.executable, "manage.py", "oasst_data", "threads", "--text", str(SAMPLE)]
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline().startswith("--- ")
            process.stdout.close()  # as `head` does
            assert "Traceback" not in process.stderr.read()


FAMILY = tree(
    node(
        1,
        node(2, node(3, synthetic=True, user_id="u"), deleted=True, labels=label(0.9)),
        node(4, review_result=False, labels=label(0.2), user_id="u"),
        node(5, labels=label(0.5)),
        user_id="u",
    )
)


class TestFilter:
    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            ([], [1, 2, 3, 4, 5]),
            (["--deleted", "without"], [1, 4, 5]),
            (["--rejected", "without"], [1, 2, 3, 5]),
            (["--synthetic", "without"], [1, 2, 4, 5]),
            (["--synthetic", "only"], [3]),
            (["--deleted", "only"], [2]),
            (["--rejected", "only"], [4]),
            (["--user", "u"], [1, 3, 4]),
            (["--user", "u", "--prompts-only"], [1]),
            (["--prompts-only"], [1]),
            (["--no-synthetic-trees"], []),
            (["--min-label", "quality=0.5"], [1, 2, 3, 5]),
            (["--max-label", "quality=0.5"], [1, 4, 5]),
            (["--min-label", "quality=0.5", "--labeled-only"], []),
            (["--lang", "EN", "--lang", "de"], [1, 2, 3, 4, 5]),
            (["--lang", "fr"], []),
            (["--state", "growing"], []),
            (["--state", "growing", "--state", "ready_for_export"], [1, 2, 3, 4, 5]),
        ],
    )
    def test_what_is_kept(self, tmp_path: Path, options: list[str], kept: list[int]) -> None:
        run("filter", write(tmp_path / "in.jsonl", FAMILY), tmp_path / "out.jsonl", *options)
        assert numbers(tmp_path / "out.jsonl") == kept

    def test_nothing_else_changes(self, tmp_path: Path) -> None:
        run("filter", SAMPLE, tmp_path / "out.jsonl", "--deleted", "without")
        assert (tmp_path / "out.jsonl").read_bytes() == SAMPLE.read_bytes()

    def test_labels_of_rows(self, tmp_path: Path) -> None:
        run("convert", write(tmp_path / "in.jsonl", FAMILY), tmp_path / "in.parquet")
        run("filter", tmp_path / "in.parquet", tmp_path / "out.jsonl", "--min-label", "quality=0.5")
        assert numbers(tmp_path / "out.jsonl") == [1, 2, 3, 5]

    def test_contradictions(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="Single messages are not trees"):
            run("filter", SAMPLE, tmp_path / "out.jsonl", "--user", "u", "--as", "trees")
        with pytest.raises(CommandError, match="is not NAME=MEAN"):
            run("filter", SAMPLE, tmp_path / "out.jsonl", "--min-label", "quality")


class TestClean:
    SHEET = (
        {"message_id": ids(2), "action": "delete"},
        {"message_id": ids(4), "action": "replace", "text": "new, with a\nsecond line"},
        {"message_id": ids(5), "action": "edit", "find": "text", "text": "word"},
        {"message_id": ids(5), "action": "Edit", "find": "5", "text": "five"},
        {"message_id": ids(1), "action": "edit", "find": "absent", "text": "x"},
        {"message_id": ids(9), "action": "delete"},
    )

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_a_sheet(self, tmp_path: Path, kind: str) -> None:
        sheet = write(tmp_path / "sheet.jsonl", *self.SHEET)
        if kind == "csv":
            with (tmp_path / "sheet.csv").open("w", newline="", encoding="utf-8-sig") as file:
                writer = csv.DictWriter(file, ["action", "message_id", "find", "text"])
                writer.writeheader()
                writer.writerows(self.SHEET)
            sheet = tmp_path / "sheet.csv"
        path = write(tmp_path / "in.jsonl", FAMILY)
        _, told = run("clean", path, tmp_path / "out.jsonl", "--sheet", sheet)
        (found,) = lines_of(tmp_path / "out.jsonl")
        assert {one["message_id"]: one["text"] for one in nodes_of(found)} == {
            ids(1): "text 1",
            ids(4): "new, with a\nsecond line",
            ids(5): "word five",
        }
        assert "1 messages deleted with what followed them, 2 changed." in told
        assert f"No message has these 1 ids of the sheet: {ids(9)}." in told
        assert "The text to find was not there in these lines of the sheet: " in told

    def test_a_deleted_prompt_takes_its_tree_along(self, tmp_path: Path) -> None:
        sheet = write(tmp_path / "sheet.jsonl", {"message_id": sample()[0]["message_tree_id"], "action": "delete"})
        run("clean", SAMPLE, tmp_path / "out.jsonl", "--sheet", sheet)
        assert lines_of(tmp_path / "out.jsonl") == sample()[1:]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("", "has no instructions"),
            ("id,what\n1,delete\n", "line 2: message_id is missing"),
            (f"message_id,action\n{ids(1)},burn\n", "line 2: action must be delete, replace, edit, not 'burn'"),
            (f"message_id,action\n{ids(1)},edit\n", "line 2: edit needs what to find"),
            (f"message_id,action\n{ids(1)},replace\n", "line 2: replace needs a text"),
            (f"message_id,action\n{ids(1)},delete,x\n", "line 2: must have the members"),
            ('{"message_id": "a"\n', "line 1: must have the members"),
            ('{"message_id": "a", "action": 5}\n', "line 1: all members must be strings"),
            ('{"message_id": "a", "action": "replace", "text": "\\ud800"}\n', "line 1: the text cannot be stored"),
        ],
    )
    def test_bad_sheets(self, tmp_path: Path, content: str, told: str) -> None:
        (tmp_path / "sheet").write_text(content)
        with pytest.raises(CommandError, match=f"sheet.*{told}"):
            run("clean", SAMPLE, tmp_path / "out.jsonl", "--sheet", tmp_path / "sheet")
        assert not (tmp_path / "out.jsonl").exists()


class TestSplit:
    def test_trees_go_where_snapshots_put_them(self, tmp_path: Path) -> None:
        _, told = run("split", SAMPLE, tmp_path, "--ending", ".jsonl.zst")
        found = {}
        for name in ("train", "validation", "test"):
            path = tmp_path / f"{name}.jsonl.zst"
            lines = read(path) if path.stat().st_size > 20 else []
            assert {split_of(line["message_tree_id"]) for line in lines} <= {name}
            found |= by_id(lines)
            assert f"{name}: {len(lines)} trees" in told
        assert found == by_id(sample())

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="is no folder"):
            run("split", SAMPLE, tmp_path / "missing")


class TestStats:
    def test_figures(self, tmp_path: Path) -> None:
        path = write(tmp_path / "in.jsonl", FAMILY)
        figures = json.loads(run("stats", "--json", path)[0])
        assert figures == {
            "trees": 1,
            "messages": 5,
            "threads": 3,
            "mean_characters": 6.0,
            "longest_message": 6,
            "trees_by_state": {"ready_for_export": 1},
            "messages_by_language": {"en": 5},
            "messages_by_role": {"assistant": 4, "prompter": 1},
            "messages_by_depth": {"0": 1, "1": 3, "2": 1},
            "messages_by_replies": {"0": 3, "1": 1, "3": 1},
            "messages_that_are": {"deleted": 1, "rejected": 1, "synthetic": 1},
            "labels": {"quality": {"messages": 3, "mean": 0.5333}},
        }
        assert "labels: quality 0.5333 (3)\n" in run("stats", path)[0]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_a_bar_on_a_terminal_and_nothing_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for stream, shown in ((Terminal(), True), (StringIO(), False)):
            monkeypatch.setattr(sys, "stderr", stream)
            run("stats", SAMPLE)
            assert ("Stats:" in stream.getvalue()) is shown


class TestThreads:
    def test_each_path_to_a_last_reply(self, tmp_path: Path) -> None:
        path = write(tmp_path / "in.jsonl", FAMILY)
        run("threads", path, "--output", tmp_path / "threads.jsonl")
        threads = lines_of(tmp_path / "threads.jsonl")
        assert [[int(one["message_id"][-2:]) for one in thread["thread"]] for thread in threads] == [
            [1, 2, 3],
            [1, 4],
            [1, 5],
        ]
        assert threads[0]["thread_id"] == ids(3) and "replies" not in threads[0]["thread"][0]
        assert run("threads", path, "--text")[0].startswith(f"--- {ids(3)}\n[prompter] text 1\n[assistant] text 2\n")
