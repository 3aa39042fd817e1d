"""Messages as rows for researchers' programs, whatever the messages contain."""

import json
import os
import random
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pyarrow
import pytest
from django.core.management import CommandError, call_command, load_command_class
from pyarrow import parquet

from oasst.accounts.models import User
from oasst.core.json_lines import read_lines
from tests.factories import conversation, delete, growing_tree, new_person, new_prompt, work_until_state
from tests.paths import SAMPLE
from tests.readers import Read, read_with_datasets_3, read_with_datasets_5, read_with_pandas
from tests.readers.program import described
from trees.contributing import reactions, reviews
from trees.interchange.flat import COLUMNS, DETOXIFY
from trees.interchange.format import LARGEST_COUNT
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree

pytestmark = pytest.mark.django_db

POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1)
EVERYTHING = ("--state", "all", "--include-deleted", "--include-rejected", "--include-synthetic")
CHUNK = 131_072  # `datasets` learns types from 10 MB; the files of these tests are smaller
TEXT, WHOLE, NUMBER, FLAG = "string", "int32", "double", "bool"
PUBLISHED = {
    "message_id": TEXT,
    "parent_id": TEXT,
    "user_id": TEXT,
    "created_date": TEXT,
    "text": TEXT,
    "role": TEXT,
    "lang": TEXT,
    "review_count": WHOLE,
    "review_result": FLAG,
    "deleted": FLAG,
    "rank": WHOLE,
    "synthetic": FLAG,
    "model_name": TEXT,
    "detoxify": {
        "toxicity": NUMBER,
        "severe_toxicity": NUMBER,
        "obscene": NUMBER,
        "identity_attack": NUMBER,
        "insult": NUMBER,
        "threat": NUMBER,
        "sexual_explicit": NUMBER,
    },
    "message_tree_id": TEXT,
    "tree_state": TEXT,
    "emojis": {"name": [TEXT], "count": [WHOLE]},
    "labels": {"name": [TEXT], "value": [NUMBER], "count": [WHOLE]},
}
"""The columns of OpenAssistant/oasst1 and oasst2, with the types of their Parquet files."""
NODE = [name for name in PUBLISHED if name not in ("message_tree_id", "tree_state")]


def write(folder: Path, lines: Iterable[Any]) -> Path:
    path = folder / "in.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


def bring_in(folder: Path, *lines: Any) -> None:
    call_command("import_trees", write(folder, lines), stdout=StringIO())


def export(path: Path, *options: str, command: str = "export_messages") -> str:
    """Return the output of the command."""
    said = StringIO()
    call_command(command, "--output", path, *options, stderr=said)
    return said.getvalue()


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_lines(path)]


def exported(folder: Path, *options: str) -> list[dict[str, Any]]:
    export(folder / "out.jsonl", *EVERYTHING, *options)
    return rows_in(folder / "out.jsonl")


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for reply in node["replies"]:
        yield from nodes_of(reply)


def sample() -> list[Any]:
    return [json.loads(line) for line in read_lines(SAMPLE)]


def bare(number: int) -> Iterator[dict[str, Any]]:
    """Trees with as few keys as a file may have: nearly every column is null."""
    for _ in range(number):
        line = conversation()
        line["prompt"]["text"] = "Why? " * 800  # type: ignore[index]
        yield line


def published(seed: int, trees: int = 15) -> Iterator[dict[str, Any]]:
    """The sample with all columns of the published trees, under other ids."""
    choose = random.Random(seed)
    for line in sample()[:trees]:
        for node in nodes_of(line["prompt"]):
            for key in ("message_id", "parent_id"):
                if key in node:
                    node[key] = str(uuid5(UUID(node[key]), str(seed)))
            node["user_id"] = str(uuid5(UUID(node["message_id"]), "person"))
            node["created_date"] = "2023-02-05T14:23:50.983374+00:00" if choose.random() < 0.5 else "2023-02-05 14:23"
            node["detoxify"] = {name: choose.randrange(1000) / 1000 for name in DETOXIFY}
            node["labels"] = {"spam": {"value": 0, "count": 3}, "quality": {"value": 0.625, "count": 2}}
        line["message_tree_id"] = line["prompt"]["message_id"]
        yield line


def made_here(alice: User) -> None:
    """A finished tree with labels and reactions, one with a deleted root, and one without reviews."""
    prompt = growing_tree(alice, POLICY)
    work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
    reviews.record_free_labels(message_id=prompt.pk, author=new_person("Dora"), labels={"quality": 0.75})
    reactions.set_reaction(message_id=prompt.pk, user=new_person("Ted"), emoji="+1")
    delete(growing_tree(alice, POLICY), POLICY)
    new_prompt(alice, policy=POLICY)


@pytest.fixture
def mixed(tmp_path: Path, alice: User) -> None:
    """First nearly empty trees, then the sample (partly synthetic), complete trees, and trees made here."""
    bring_in(tmp_path, *bare(60), *sample()[:15], *published(1))
    made_here(alice)


class TestReaders:
    def test_all_of_them_read_messages_of_any_origin(self, mixed: None, tmp_path: Path) -> None:
        lines, packed, table = (tmp_path / f"messages.{end}" for end in ("jsonl", "jsonl.gz", "parquet"))
        for path in (lines, packed, table):
            assert "messages written to" in export(path, *EVERYTHING)
        rows = rows_in(lines)
        assert len(rows) == Message.objects.count() > 400
        assert lines.stat().st_size > 3 * CHUNK
        for name in COLUMNS:
            assert any(row[name] is not None for row in rows), name
        by_tree = sorted(rows, key=lambda row: row["message_id"])

        def same(read: list[Read]) -> None:
            first, second, third = read
            assert first.rows == rows == second.rows
            assert sorted(third.rows, key=lambda row: row["message_id"]) == by_tree

        same(read_with_pandas([lines, packed, table], tmp_path / "pandas"))
        for number, read_with in (("5", read_with_datasets_5), ("3", read_with_datasets_3)):
            read = read_with([lines, packed, table], tmp_path / number, chunk=CHUNK)
            same(read)
            assert read[0].version.startswith(number)
            assert read[2].types == PUBLISHED
            # JSON has integers without a size.
            assert read[0].types == json.loads(json.dumps(PUBLISHED).replace(WHOLE, "int64"))

    def test_trees_with_constant_keys_too(self, mixed: None, tmp_path: Path) -> None:
        path = tmp_path / "trees.jsonl"
        export(path, *EVERYTHING, "--constant-keys", command="export_trees")
        lines = rows_in(path)
        nodes = [node for line in lines for node in nodes_of(line["prompt"])]
        assert len(lines) == MessageTree.objects.count()
        assert len(nodes) == Message.objects.count()
        assert {tuple(line) for line in lines} == {("message_tree_id", "tree_state", "prompt")}
        assert {tuple(node) for node in nodes} == {(*NODE, "replies")}
        for number, read_with in (("5", read_with_datasets_5), ("3", read_with_datasets_3)):
            (read,) = read_with([path], tmp_path / number, chunk=CHUNK)
            assert read.rows == lines


class TestRows:
    def test_what_a_file_left_out_is_null_but_its_place_in_the_tree_is_known(self, tmp_path: Path) -> None:
        line = conversation(answers=1)
        reply = line["prompt"]["replies"][0]  # type: ignore[index]
        del reply["parent_id"], reply["lang"], reply["review_result"], line["tree_state"]
        reply |= {"deleted": None, "synthetic": None, "labels": {}, "emojis": None}
        bring_in(tmp_path, line)
        _, row = exported(tmp_path)
        known = {
            "message_id": reply["message_id"],
            "parent_id": line["message_tree_id"],
            "message_tree_id": line["message_tree_id"],
            "tree_state": "backlog_ranking",
            "text": "Answer 0",
            "role": "assistant",
            "deleted": False,
        }
        assert row == dict.fromkeys(COLUMNS) | known

    def test_single_messages_know_their_place_too(self, tmp_path: Path) -> None:
        line = conversation(answers=1)
        reply = line["prompt"]["replies"][0]  # type: ignore[index]
        del reply["parent_id"]
        reply["synthetic"] = True
        bring_in(tmp_path, line)
        export(tmp_path / "out.jsonl", "--synthetic-only")
        rows = rows_in(tmp_path / "out.jsonl")
        assert [row["parent_id"] for row in rows] == [None, line["message_tree_id"]]
        assert {row["message_tree_id"] for row in rows} == {line["message_tree_id"]}

    def test_every_row_has_every_column_and_messages_stand_before_their_replies(
        self, mixed: None, tmp_path: Path
    ) -> None:
        rows = exported(tmp_path)
        assert {tuple(row) for row in rows} == {tuple(PUBLISHED)}
        for row in rows:
            for name in ("detoxify", "emojis", "labels"):
                assert row[name] is None or list(row[name]) == list(PUBLISHED[name])
        seen: set[str | None] = {None}
        for row in rows:
            assert row["parent_id"] in seen
            seen.add(row["message_id"])
        roots = [row["message_tree_id"] for row in rows if row["parent_id"] is None]
        in_order = [row["message_tree_id"] for row in rows]
        assert list(dict.fromkeys(in_order)) == roots
        assert sorted(in_order, key=roots.index) == in_order  # a tree is contiguous

    def test_labels_reactions_and_dates_have_one_form(self, tmp_path: Path) -> None:
        line = conversation(answers=1)
        line["prompt"] |= {  # type: ignore[operator]
            "created_date": "2023-02-05 14:23:50+02:00",
            "emojis": {"heart": 2.0},
            "labels": {"spam": {"value": 0, "count": 3.0}, "humor": {"value": None, "count": 0}},
            "detoxify": {"toxicity": 1, "unknown_here": 0.5},
            "review_count": 3.0,
        }
        bring_in(tmp_path, line)
        row = exported(tmp_path)[0]
        assert row["created_date"] == "2023-02-05T12:23:50.000000+00:00"
        assert row["emojis"] == {"name": ["heart"], "count": [2]}
        assert row["labels"] == {"name": ["spam", "humor"], "value": [0.0, None], "count": [3, 0]}
        assert row["detoxify"] == dict.fromkeys(DETOXIFY) | {"toxicity": 1.0}
        text = (tmp_path / "out.jsonl").read_text()
        assert '"value": [0.0, null]' in text and '"count": [3, 0]' in text and '"toxicity": 1.0' in text
        assert '"review_count": 3,' in text

    def test_what_a_file_gave_in_another_type_is_null_and_said(self, tmp_path: Path) -> None:
        wrong: dict[str, Any] = {
            "user_id": 7,
            "labels": {"spam": 0.5},
            "detoxify": "toxic",
            "emojis": {"heart": LARGEST_COUNT},
        }
        first, second = conversation(), conversation()
        first["prompt"] |= wrong  # type: ignore[operator]
        second["prompt"] |= {"labels": [], "detoxify": {"toxicity": 10**400}}  # type: ignore[operator]
        bring_in(tmp_path, first, second)
        said = export(tmp_path / "out.parquet")
        assert "another type: detoxify (2), labels (1), user_id (1)." in said
        rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
        assert [row["user_id"] for row in rows] == [None] * 6
        assert {row["labels"] for row in rows} == {None} == {row["detoxify"] for row in rows}

    def test_the_types_of_the_published_files(self, tmp_path: Path) -> None:
        """Also for an empty file."""
        said = export(tmp_path / "out.parquet", "--lang", "xx")
        assert "0 messages written" in said and "Nothing matches" in said
        found = parquet.read_schema(tmp_path / "out.parquet")
        assert {field.name: described(field.type, pyarrow.types) for field in found} == PUBLISHED
        assert found.names == list(PUBLISHED)


class TestCommand:
    def test_the_options_of_the_other_export(self) -> None:
        """All except those for details of trees."""
        there, here = (
            {option for action in parser_of(name)._actions for option in action.option_strings}
            for name in ("export_trees", "export_messages")
        )
        only_there = {"--export-labels", "--no-export-labels", "--export-events", "--constant-keys"}
        assert there - here == only_there
        assert not here - there

    def test_it_selects_as_the_other_export(self, tmp_path: Path) -> None:
        bring_in(tmp_path, *sample()[:15])
        for options in ((), ("--limit", "3", "--include-synthetic"), ("--prompts-only",), ("--lang", "EN")):
            export(tmp_path / "trees.jsonl", *options, command="export_trees")
            export(tmp_path / "out.jsonl", *options)
            of_trees = {
                node["message_id"]
                for line in rows_in(tmp_path / "trees.jsonl")
                for node in nodes_of({"replies": [], **line["prompt"]})
            }
            assert {row["message_id"] for row in rows_in(tmp_path / "out.jsonl")} == of_trees

    def test_standard_output(self, tmp_path: Path) -> None:
        bring_in(tmp_path, conversation(answers=1))
        out = StringIO()
        call_command("export_messages", stdout=out, stderr=StringIO())
        assert len([json.loads(line) for line in out.getvalue().splitlines()]) == 2

    @pytest.mark.parametrize("name", ["rows.csv", "rows.parquet.gz", "rows"])
    def test_other_endings_are_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(CommandError, match=r"must end in \.jsonl, \.jsonl\.gz, \.parquet"):
            export(tmp_path / name)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
    def test_nothing_half_written(self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither without the folder, nor with a full disk, nor after an error of our own."""
        bring_in(tmp_path, *bare(3))
        with pytest.raises(CommandError, match="cannot be written"):
            export(tmp_path / "nowhere" / name)
        (tmp_path / name).write_text("before")
        partial = tmp_path / f".{name}.{os.getpid()}.partial"
        partial.symlink_to("/dev/full")
        with pytest.raises(CommandError, match="cannot be written: No space left on device"):
            export(tmp_path / name)
        assert (tmp_path / name).read_text() == "before"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", name]

    def test_events_have_no_constant_keys(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="Events have no constant keys"):
            export(tmp_path / "out.jsonl", "--constant-keys", "--export-events", command="export_trees")


class TestConstantKeys:
    def test_they_come_in_again_and_out_as_they_were(self, mixed: None, tmp_path: Path) -> None:
        """Also their lists, in the order of the file."""
        path, again = tmp_path / "trees.jsonl", tmp_path / "again.jsonl"
        export(path, *EVERYTHING, "--constant-keys", command="export_trees")
        lines = rows_in(path)
        for line in lines:
            for node in nodes_of(line["prompt"]):
                for one in filter(None, (node["labels"], node["emojis"])):
                    for part in one.values():
                        part.reverse()
        with_new_ids = json.loads(renamed(json.dumps(lines)))
        bring_in(tmp_path, *with_new_ids)
        export(again, *EVERYTHING, command="export_trees")
        found = {line["message_tree_id"]: line for line in rows_in(again)}
        assert [found[line["message_tree_id"]] for line in with_new_ids] == with_new_ids

    def test_what_people_say_here_is_added_to_lists(self, tmp_path: Path) -> None:
        line = conversation()
        line["prompt"] |= {  # type: ignore[operator]
            "emojis": {"name": ["heart", "+1"], "count": [2, 1]},
            "labels": {"name": ["spam"], "value": [0.5], "count": [1]},
        }
        bring_in(tmp_path, line)
        message = Message.objects.get(parent=None)
        assert message.emojis == {"heart": 2, "+1": 1}
        reactions.set_reaction(message_id=message.pk, user=new_person("Ted"), emoji="+1")
        reviews.record_free_labels(message_id=message.pk, author=new_person("Dora"), labels={"spam": 1, "humor": 0.5})
        call_command("check_invariants", stdout=StringIO())
        export(tmp_path / "trees.jsonl", command="export_trees")
        (found,) = rows_in(tmp_path / "trees.jsonl")
        assert found["prompt"]["emojis"] == {"name": ["heart", "+1"], "count": [2, 2]}
        assert found["prompt"]["labels"] == {"name": ["spam", "humor"], "value": [0.75, 0.5], "count": [2, 1]}

    @pytest.mark.parametrize(
        "emojis",
        [
            {"name": ["heart"], "count": []},
            {"name": ["heart", "heart"], "count": [1, 2]},
            {"name": [1], "count": [1]},
            {"name": ["heart"], "count": [-1]},
        ],
    )
    def test_lists_that_say_nothing_are_refused(self, tmp_path: Path, emojis: Any) -> None:
        line = conversation()
        line["prompt"]["emojis"] = emojis  # type: ignore[index]
        with pytest.raises(CommandError, match="emojis cannot be"):
            bring_in(tmp_path, line)
        assert not MessageTree.objects.exists()


def parser_of(name: str) -> ArgumentParser:
    return load_command_class("trees", name).create_parser("manage.py", name)


def renamed(text: str) -> str:
    """Return the same lines with other ids."""
    for (message_id,) in Message.objects.values_list("pk"):
        text = text.replace(str(message_id), str(uuid5(message_id, "again")))
    return text
