"""Every format is read without a database, and comes out as it went in."""

import gzip
import json
import random
from datetime import UTC, datetime
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow
import pytest
import zstandard
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from oasst.core.errors import Invalid
from tests.paths import SAMPLE
from tests.trees.interchange.file_trees import Node, by_id, file_trees, nodes_of, rows_of, sample
from tests.trees.interchange.made_trees import ASSISTANT, tree
from tests.trees.interchange.made_trees import node as made
from trees.interchange.file_tools.filtering import FileFilter
from trees.interchange.file_tools.writing import Shape, write_file
from trees.interchange.reading.json_values import read_elements
from trees.interchange.reading.trees import TreeReader
from trees.interchange.snapshots.canonical import record_line

CHAT = [
    {"from": "human", "value": "How do magnets work, in a few plain words for my children?"},
    {"from": "gpt", "value": "Tiny parts of the metal all point the same way."},
    {"from": "human", "value": "Thanks."},
]
LMSYS = {
    "conversation_id": "33f07d72ab9242b6bf1c5c1a1a5ea3f7",
    "model": "vicuna-13b",
    "conversation": [{"role": "user", "content": "Hallo?"}, {"role": "assistant", "content": "Guten Tag!"}],
    "turn": 1,
    "language": "German",
    "openai_moderation": [{"categories": {"hate": False}, "category_scores": {"hate": 0.001}}],
    "redacted": False,
}
HH = {
    "chosen": "\n\nHuman: Tea or coffee?\n\nAssistant: Why do you ask?\n\nHuman: I am tired.\n\nAssistant: Then sleep.",
    "rejected": "\n\nHuman: Tea or coffee?\n\nAssistant: Why do you ask?\n\nHuman: I am tired.\n\nAssistant: Coffee",
}


def write(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def read(*paths: Path, format_name: str | None = None) -> list[Node]:
    return [found.node for found in TreeReader(format_name=format_name).read(paths)]


def read_one(tmp_path: Path, value: Any) -> Node:
    (found,) = read(write(tmp_path / "one.jsonl", [value]))
    return found


def said(found: Node) -> list[tuple[str, str]]:
    return [(node["role"], node["text"]) for node in nodes_of(found)]


class TestContainers:
    """The content decides, not the name."""

    @pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
    def test_compressed_lines(self, tmp_path: Path, pack: Any) -> None:
        (tmp_path / "data").write_bytes(pack(SAMPLE.read_bytes()))
        assert read(tmp_path / "data") == sample()

    def test_several_frames_and_members(self, tmp_path: Path) -> None:
        first, second = SAMPLE.read_bytes()[:999], SAMPLE.read_bytes()[999:]
        for pack in (gzip.compress, zstandard.compress):
            (tmp_path / "data").write_bytes(pack(first) + pack(second))
            assert read(tmp_path / "data") == sample()

    @pytest.mark.parametrize("indent", [None, 1])
    def test_one_json_array(self, tmp_path: Path, indent: int | None) -> None:
        text = "\ufeff " + json.dumps(sample(), indent=indent, ensure_ascii=False) + "\n"
        (tmp_path / "data").write_bytes(gzip.compress(text.encode()))
        assert read(tmp_path / "data") == sample()

    def test_places_in_an_array_are_lines(self, tmp_path: Path) -> None:
        values = [sample()[0], {"oops": 1}]
        (tmp_path / "a.json").write_text(json.dumps(values, indent=1))
        with pytest.raises(Invalid) as refusal:
            read(tmp_path / "a.json")
        line = (tmp_path / "a.json").read_text().split("\n").index(" {", 2) + 1
        assert refusal.value.message.startswith(f"a.json, line {line}: ")

    @given(st.lists(file_trees(), min_size=1, max_size=3, unique_by=lambda one: one["message_tree_id"]), st.data())
    @settings(max_examples=25, deadline=None)
    def test_arrays_of_any_layout(self, trees: list[Node], data: st.DataObject) -> None:
        indent = data.draw(st.sampled_from([None, 0, 2]))
        text = json.dumps(trees, indent=indent, ensure_ascii=data.draw(st.booleans()))
        assert [value for _, _, value in read_elements(BytesIO(text.encode()))] == trees


class TestMessages:
    def test_rows_in_any_order(self, tmp_path: Path) -> None:
        rows = [row for one in sample() for row in rows_of(one)]
        assert by_id(read(write(tmp_path / "rows.jsonl", rows))) == by_id(sample())
        random.Random(1).shuffle(rows)
        found = read(write(tmp_path / "rows.jsonl", rows))
        assert len(found) == 50
        wanted = {one["message_tree_id"]: sorted(node["message_id"] for node in nodes_of(one)) for one in sample()}
        got = {one["message_tree_id"]: sorted(node["message_id"] for node in nodes_of(one)) for one in found}
        assert got == wanted
        for node in (node for one in found for node in nodes_of(one)):
            assert all(reply["parent_id"] == node["message_id"] for reply in node["replies"])

    def test_a_tree_in_two_files_and_a_file_given_twice(self, tmp_path: Path) -> None:
        rows = [row for one in sample() for row in rows_of(one)]
        parts = write(tmp_path / "0.jsonl", rows[:100]), write(tmp_path / "1.jsonl", rows[100:])
        assert by_id(read(*parts)) == by_id(sample()) == by_id(read(*parts, *parts))

    def test_the_published_parquet_files(self, tmp_path: Path) -> None:
        rows = [row for one in sample() for row in rows_of(one)]
        names = dict.fromkeys(name for row in rows for name in row)
        table = pyarrow.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
        parquet.write_table(table, tmp_path / "train.parquet", row_group_size=100)
        assert by_id(read(tmp_path / "train.parquet")) == by_id(sample())

    def test_rows_without_the_id_of_their_tree(self, tmp_path: Path) -> None:
        rows = [row for one in sample() for row in rows_of(one)]
        states = {row["message_id"]: row.pop("tree_state") for row in rows}
        for row in rows:
            del row["message_tree_id"]
            if row["parent_id"] is None:
                row["tree_state"] = states[row["message_id"]]
        assert by_id(read(write(tmp_path / "rows.jsonl", rows))) == by_id(sample())

    def test_dates_of_other_programs(self, tmp_path: Path) -> None:
        """pandas writes dates as such, and not as text."""
        row = next(rows_of(sample()[0])) | {"created_date": datetime(2023, 2, 5, 14, 23, tzinfo=UTC)}
        parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "train.parquet")
        (found,) = read(tmp_path / "train.parquet")
        assert found["prompt"]["created_date"] == "2023-02-05T14:23:00+00:00"

    def test_other_columns_are_kept(self, tmp_path: Path) -> None:
        row = next(rows_of(sample()[0])) | {"basis": "license CC-BY-4.0"}
        assert read_one(tmp_path, row)["prompt"]["basis"] == "license CC-BY-4.0"


class TestSnapshots:
    def test_a_frozen_tree_with_its_judgments(self, tmp_path: Path) -> None:
        reply = made("b", rank=0, labels={"name": ["spam"], "value": [0.5]})
        record = tree(made("a", reply), reviews=[{"kind": "review"}], rankings=[{"not_rankable": False}])
        (tmp_path / "train.jsonl.zst").write_bytes(zstandard.compress(record_line(record) + b"\n"))
        (found,) = read(tmp_path / "train.jsonl.zst")
        assert said(found) == [("prompter", "a"), (ASSISTANT, "b")]
        assert found["reviews"][0]["kind"] == "review" and found["rankings"][0]["not_rankable"] is False
        assert "model_name" not in found["prompt"]


class TestConversations:
    def test_sharegpt(self, tmp_path: Path) -> None:
        found = read_one(tmp_path, {"id": "abc_0", "conversations": CHAT})
        assert said(found) == [("prompter", CHAT[0]["value"]), (ASSISTANT, CHAT[1]["value"]), ("prompter", "Thanks.")]
        assert [node.get("synthetic") for node in nodes_of(found)] == [None, True, None]
        assert found["source"] == {"format": "sharegpt", "id": "abc_0"}
        assert {node["lang"] for node in nodes_of(found)} == {"en"}

    def test_system_prompts_are_kept_beside_the_tree(self, tmp_path: Path) -> None:
        found = read_one(tmp_path, {"conversations": [{"from": "system", "value": "Be kind."}, *CHAT]})
        assert found["source"]["system"] == "Be kind." and len(said(found)) == 3

    def test_chats_with_roles(self, tmp_path: Path) -> None:
        messages = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]
        found = read_one(tmp_path, {"messages": messages})
        assert said(found) == [("prompter", "1 + 1"), (ASSISTANT, "2")]
        assert found["prompt"]["lang"] == "und"

    @pytest.mark.parametrize("end", ["jsonl", "parquet"])
    def test_lmsys(self, tmp_path: Path, end: str) -> None:
        path = write(tmp_path / "chats.jsonl", [LMSYS, LMSYS | {"conversation_id": "other"}])
        if end == "parquet":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            path = tmp_path / "chats.parquet"
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        found, other = read(path)
        assert said(found) == [("prompter", "Hallo?"), (ASSISTANT, "Guten Tag!")]
        reply = found["prompt"]["replies"][0]
        assert (reply["model_name"], reply["synthetic"], reply["lang"]) == ("vicuna-13b", True, "de")
        assert found["source"]["conversation_id"] == LMSYS["conversation_id"]
        assert found["source"]["openai_moderation"] == LMSYS["openai_moderation"]
        assert found["message_tree_id"] != other["message_tree_id"]

    def test_hh_rlhf(self, tmp_path: Path) -> None:
        found = read_one(tmp_path, HH)
        last = found["prompt"]["replies"][0]["replies"][0]
        assert last["text"] == "I am tired."
        assert [(reply["text"], reply["rank"]) for reply in last["replies"]] == [("Then sleep.", 0), ("Coffee", 1)]

    def test_pairs_that_part_early(self, tmp_path: Path) -> None:
        pair = {
            "chosen": "\n\nHuman: Hi\n\nAssistant: a\n\nHuman: b\n\nAssistant: c",
            "rejected": "\n\nHuman: Hi\n\nAssistant: d",
        }
        found = read_one(tmp_path, pair)
        assert [(reply["text"], reply["rank"]) for reply in found["prompt"]["replies"]] == [("a", 0), ("d", 1)]
        assert len(said(found)) == 5
        same = read_one(tmp_path, pair | {"rejected": pair["chosen"]})
        assert len(said(same)) == 4 and "rank" not in same["prompt"]["replies"][0]

    @pytest.mark.parametrize("value", [{"id": "a", "conversations": CHAT}, LMSYS, HH])
    def test_ids_come_from_the_content(self, tmp_path: Path, value: Node) -> None:
        first, again = read_one(tmp_path, value), read_one(tmp_path, dict(reversed(value.items())))
        assert first == again
        ids = {node["message_id"] for node in nodes_of(first)}
        assert len(ids) == len(said(first)) and first["message_tree_id"] in ids
        assert all(UUID(message_id).version == 5 for message_id in ids)

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({"conversations": []}, "conversations must be a list of turns"),
            ({"conversations": CHAT[1:]}, "a conversation must begin with the user"),
            ({"conversations": [*CHAT, {"from": "tool", "value": "x"}]}, "turn 4: the speaker must be"),
            ({"conversations": [{"from": "human", "value": None}]}, "turn 1: the text must be a string"),
            ({"conversations": ["Hi"]}, "turn 1 must be an object"),
            ({"conversations": [*CHAT, {"from": "system", "value": "x"}]}, "a system message must stand at the beg"),
            (HH | {"chosen": "Hello"}, "chosen must be a dialogue that begins"),
            (HH | {"chosen": "\n\nHuman: Other"}, "chosen and rejected begin with different prompts"),
            ({"prompt": "a", "completion": "b"}, "no known format: it has the keys 'prompt', 'completion'"),
        ],
    )
    def test_what_is_none(self, tmp_path: Path, value: Node, told: str) -> None:
        with pytest.raises(Invalid, match=f"^one.jsonl, line 1: {told}"):
            read_one(tmp_path, value)

    def test_another_format_further_down(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="line 2: this is not of the format lmsys"):
            read(write(tmp_path / "mixed.jsonl", [LMSYS, HH]))

    def test_the_format_can_be_given(self, tmp_path: Path) -> None:
        both = LMSYS | {"conversations": CHAT}
        path = write(tmp_path / "both.jsonl", [both])
        assert len(said(read(path)[0])) == 3
        assert len(said(read(path, format_name="lmsys")[0])) == 2


class TestRoundTrips:
    KINDS = (
        ("trees.jsonl", Shape.TREES),
        ("trees.jsonl.gz", Shape.TREES),
        ("trees.jsonl.zst", Shape.TREES),
        ("rows.jsonl", Shape.MESSAGES),
        ("rows.jsonl.zst", Shape.MESSAGES),
        ("rows.parquet", Shape.MESSAGES),
    )

    @pytest.mark.parametrize(("first", "second"), list(product(KINDS, repeat=2)))
    def test_the_sample_through_every_pair(self, tmp_path: Path, first: Any, second: Any) -> None:
        write_file(sample(), tmp_path / f"1{first[0]}", first[1])
        write_file(read(tmp_path / f"1{first[0]}"), tmp_path / f"2{second[0]}", second[1])
        assert by_id(read(tmp_path / f"2{second[0]}")) == by_id(sample())

    def test_trees_come_out_byte_by_byte(self, tmp_path: Path) -> None:
        call_command("oasst_data", "convert", SAMPLE, tmp_path / "out.jsonl")
        assert (tmp_path / "out.jsonl").read_bytes() == SAMPLE.read_bytes()

    @given(st.lists(file_trees(), min_size=1, max_size=4))
    @settings(max_examples=30, deadline=None)
    def test_random_trees(self, tmp_path_factory: pytest.TempPathFactory, trees: list[Node]) -> None:
        unique: dict[str, Node] = {}
        taken: set[str] = set()
        for one in trees:
            ids = {node["message_id"] for node in nodes_of(one)}
            if taken.isdisjoint(ids):
                taken |= ids
                unique[one["message_tree_id"]] = one
        folder = tmp_path_factory.mktemp("random")
        wanted = by_id(list(unique.values()))
        for name, shape in (*self.KINDS[2:4], self.KINDS[5]):
            write_file(unique.values(), folder / name, shape)
            assert by_id(read(folder / name)) == wanted


def test_a_filter_takes_a_tree_without_a_state_for_one_that_waits_for_ranking() -> None:
    about: dict[str, Any] = {"message_tree_id": "1", "prompt": {"message_id": "1", "text": "Why?", "replies": []}}
    for line in (about, about | {"tree_state": None}, about | {"tree_state": "backlog_ranking"}):
        assert len(list(FileFilter(states=frozenset({"backlog_ranking"})).apply(line))) == 1
        assert not list(FileFilter(states=frozenset({"growing"})).apply(line))
