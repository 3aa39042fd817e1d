"""Import and export of files: the real sample, other variants of the format, and bad files."""

import gzip
import json
import random
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection

from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.json_lines import dump_line
from tasks import upkeep
from tasks.models import Task
from tests.factories import growing_tree, work_until_state
from tests.paths import SAMPLE
from trees.interchange import importer
from trees.interchange.format import ParsedTree
from trees.interchange.importer import import_files
from trees.interchange.reading.json_values import LONGEST
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.writer import read_lines
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Happening,
    Message,
    MessageTree,
    Opening,
    Ranking,
    Reaction,
    Review,
    Revision,
    TreeTransition,
)

pytestmark = pytest.mark.django_db

ROOT = "11111111-1111-4111-8111-111111111111"
REPLY = "22222222-2222-4222-8222-222222222222"
SECOND = "33333333-3333-4333-8333-333333333333"
THIRD = "55555555-5555-4555-8555-555555555555"


def exported(**which: Any) -> list[Any]:
    return [json.loads(line) for line in read_lines(Selection(**which))]


def load(tmp_path: Path, *lines: Any) -> Any:
    path = tmp_path / "trees.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return import_files([path], policy=TreePolicy())


def tree(**node: Any) -> dict[str, Any]:
    prompt = {"message_id": ROOT, "text": "Hello?", "role": "prompter", "lang": "en", "replies": [], **node}
    return {"message_tree_id": ROOT, "tree_state": "ready_for_export", "prompt": prompt}


class TestRoundTrip:
    def test_the_sample_comes_out_as_it_went_in(self, tmp_path: Path) -> None:
        out = StringIO()
        call_command("import_trees", SAMPLE, stdout=out)
        assert "50 trees with 575 messages imported, 0 already here." in out.getvalue()
        assert (MessageTree.objects.count(), Message.objects.count()) == (50, 575)
        assert Revision.objects.count() == 575
        call_command("export_trees", "--include-synthetic", "--output", tmp_path / "out.jsonl", stderr=StringIO())
        assert (tmp_path / "out.jsonl").read_bytes() == SAMPLE.read_bytes()

    def test_what_was_exported_comes_out_byte_by_byte(self, tmp_path: Path, alice: User) -> None:
        """Also for messages written here, which have no key order of their own."""
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        extra = {"zebra": 1, "apple": {"b": [1, 2.50], "a": None}, "labels": {"spam": {"value": 0.0, "count": 3}}}
        load(tmp_path, {**tree(user_id="somebody", rank=None, lang="PT-br", **extra), "origin": "elsewhere", "a": 1})
        call_command("import_trees", SAMPLE, stdout=StringIO())
        first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
        call_command("export_trees", "--include-synthetic", "--output", first, stderr=StringIO())
        TreeTransition.objects.all().delete()
        for model in (Opening, Revision, Review, Ranking, Reaction, Happening, Task, Message, MessageTree):
            with connection.cursor() as cursor:
                cursor.execute(f"SET CONSTRAINTS ALL DEFERRED; DELETE FROM {model._meta.db_table}")
        call_command("import_trees", first, stdout=StringIO())
        call_command("export_trees", "--include-synthetic", "--output", second, stderr=StringIO())
        assert second.read_bytes() == first.read_bytes()
        assert len(first.read_bytes().split(b"\n")) == 53

    def test_readers_that_split_lines_anywhere_find_one_tree_a_line(self, tmp_path: Path) -> None:
        breaks = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj\nk"
        line = tree(text=breaks, extra={breaks: breaks})
        load(tmp_path, line)
        out = StringIO()
        call_command("export_trees", stdout=out, stderr=StringIO())
        assert len(out.getvalue().splitlines()) == 1
        assert json.loads(out.getvalue()) == line
        assert "é" in dump_line({"text": "é"})

    def test_importing_twice_changes_nothing(self) -> None:
        call_command("import_trees", SAMPLE, stdout=StringIO())
        out = StringIO()
        call_command("import_trees", SAMPLE, SAMPLE, stdout=out)
        assert "0 trees with 0 messages imported, 100 already here." in out.getvalue()
        assert Message.objects.count() == 575

    def test_what_the_file_did_not_say_is_not_invented_and_what_it_said_is_kept(self, tmp_path: Path) -> None:
        reply = {
            "message_id": REPLY,
            "text": "  spaces, \u0007 bells and \u202e tricks stay  ",
            "role": "assistant",
            "rank": None,
            "user_id": "somebody",
            "created_date": "2023-02-05T14:23:50.983374+00:00",
            "labels": {"spam": {"value": 0.0, "count": 3}},
            "emojis": {},
            "review_result": False,
            "deleted": True,
            "novel_key": [1, {"x": None}, 2.5],
        }
        line = {
            **tree(replies=[reply], parent_id=None),
            "origin": "elsewhere",
            "tree_state": "halted_by_moderator",
        }
        del line["prompt"]["lang"]
        load(tmp_path, line)
        assert exported(state=None) == [line]

    def test_a_tree_without_state_waits_to_be_ranked(self, tmp_path: Path) -> None:
        line = tree()
        del line["tree_state"]
        load(tmp_path, line)
        assert MessageTree.objects.get().state == State.BACKLOG_RANKING
        assert exported(state=None) == [line]

    def test_siblings_keep_the_order_of_the_file(self, tmp_path: Path) -> None:
        replies = [
            {"message_id": REPLY, "parent_id": ROOT, "text": "a", "role": "assistant", "lang": "en", "rank": 1},
            {"message_id": SECOND, "parent_id": ROOT, "text": "b", "role": "assistant", "lang": "en", "rank": 0},
        ]
        line = tree(replies=replies)
        load(tmp_path, line)
        assert exported() == [line]

    def test_compressed_files(self, tmp_path: Path) -> None:
        packed = tmp_path / "trees.jsonl.gz"
        packed.write_bytes(gzip.compress(SAMPLE.read_bytes()))
        call_command("import_trees", packed, stdout=StringIO())
        call_command("export_trees", "--include-synthetic", "--output", tmp_path / "out.jsonl.gz", stderr=StringIO())
        assert len(gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).splitlines()) == 50

    def test_standard_output_without_output(self, tmp_path: Path) -> None:
        load(tmp_path, tree())
        out = StringIO()
        call_command("export_trees", stdout=out, stderr=StringIO())
        assert json.loads(out.getvalue()) == tree()


class TestEverydayFiles:
    """Harmless variants that other programs write are read, and exported as they were."""

    @pytest.mark.parametrize(
        "node",
        [
            {"review_count": 3.0, "rank": 0.0, "emojis": {"+1": 2.0}},
            {"lang": None},
            {"replies": None},
            {"review_count": None, "emojis": None, "model_name": None, "parent_id": None, "created_date": None},
            {"lang": "PT-br"},
            {"novel_key": {"deeper": [None, 2.50, 1e-07, "x"]}},
        ],
    )
    def test_values(self, tmp_path: Path, node: dict[str, Any]) -> None:
        line = tree(**node)
        load(tmp_path, line)
        assert json.dumps(exported(), sort_keys=True) == json.dumps([line], sort_keys=True)

    def test_whole_numbers_with_a_point_are_counts(self, tmp_path: Path) -> None:
        load(tmp_path, tree(review_count=3.0, rank=1.0, emojis={"+1": 2.0}))
        message = Message.objects.get()
        assert (message.review_count, message.rank, message.emojis) == (3, 1, {"+1": 2})
        assert [type(one) for one in (message.review_count, message.emojis["+1"])] == [int, int]

    def test_a_null_language_is_that_of_the_tree(self, tmp_path: Path) -> None:
        reply = {"message_id": REPLY, "text": "Olá", "role": "assistant", "lang": None}
        load(tmp_path, tree(lang="PT-br", replies=[reply]))
        assert {message.lang for message in Message.objects.all()} == {"pt-BR"}
        assert MessageTree.objects.get().lang == "pt-BR"

    def test_a_null_state_waits_to_be_ranked(self, tmp_path: Path) -> None:
        line = {**tree(), "tree_state": None}
        load(tmp_path, line)
        assert MessageTree.objects.get().state == State.BACKLOG_RANKING
        assert exported(state=None) == [line]

    @pytest.mark.parametrize("name", ["trees.jsonl", "trees.jsonl.gz"])
    def test_a_byte_order_mark_and_line_ends_of_windows(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        content = ("\ufeff" + json.dumps(tree(text="\ufeffHello\u2028there"), ensure_ascii=False) + "\r\n\r\n").encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        assert import_files([path], policy=TreePolicy()).trees == 1
        assert Message.objects.get().text == "\ufeffHello\u2028there"

    def test_a_compressed_file_under_another_name(self, tmp_path: Path) -> None:
        (tmp_path / "trees.data").write_bytes(gzip.compress(SAMPLE.read_bytes()))
        assert import_files([tmp_path / "trees.data"], policy=TreePolicy()).trees == 50


class TestOwnTrees:
    def test_a_tree_that_people_made(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        (line,) = exported()
        node = line["prompt"]
        assert line["message_tree_id"] == node["message_id"] == str(prompt.pk)
        assert (node["review_count"], node["review_result"]) == (2, True)
        assert "parent_id" not in node and "rank" not in node and "emojis" not in node
        assert [reply["rank"] for reply in node["replies"]] == [0, 1, 2]
        assert all(reply["parent_id"] == str(prompt.pk) for reply in node["replies"])

    def test_rejected_messages_are_left_out_with_what_follows_them(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        first = Message.objects.filter(parent=prompt).order_by("position")[0]
        Message.objects.filter(pk=first.pk).update(review_result=False)
        assert len(exported()[0]["prompt"]["replies"]) == 2
        with_rejected = exported(rejected=Inclusion.WITH)[0]["prompt"]["replies"]
        assert [reply["review_result"] for reply in with_rejected] == [False, True, True]

    def test_export_after_import_of_an_own_export(self, alice: User, tmp_path: Path) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        (line,) = exported()
        renamed = json.loads(json.dumps(line).replace(str(prompt.pk), ROOT))
        for number, reply in enumerate(renamed["prompt"]["replies"]):
            reply["message_id"] = f"44444444-4444-4444-8444-44444444444{number}"
        load(tmp_path, renamed)
        assert exported()[1] == renamed


class TestFilters:
    def test_synthetic_trees_can_be_left_out(self) -> None:
        call_command("import_trees", SAMPLE, stdout=StringIO())
        human = exported()
        assert 0 < len(human) < 50
        assert '"synthetic": true' not in json.dumps(human)
        assert len(exported(synthetic=Inclusion.WITH)) == 50

    def test_limit_takes_the_first(self) -> None:
        call_command("import_trees", SAMPLE, stdout=StringIO())
        assert exported(limit=3, synthetic=Inclusion.WITH) == exported(synthetic=Inclusion.WITH)[:3]

    @pytest.mark.parametrize("spelling", ["pt-BR", "PT-br", "pt-br"])
    def test_the_case_of_a_language_does_not_matter(self, tmp_path: Path, spelling: str) -> None:
        load(tmp_path, tree(lang="pt-BR"))
        out = StringIO()
        call_command("export_trees", "--lang", spelling, stdout=out, stderr=StringIO())
        assert json.loads(out.getvalue()) == tree(lang="pt-BR")
        told = StringIO()
        call_command("rerank_trees", "--lang", spelling, stdout=told)
        assert told.getvalue().startswith("1 finished trees")

    def test_what_matches_nothing_says_so(self, tmp_path: Path) -> None:
        load(tmp_path, tree(lang="pt-BR"))
        told = StringIO()
        call_command("export_trees", "--lang", "FR", stdout=StringIO(), stderr=told)
        assert "0 trees written" in told.getvalue()
        assert "Nothing matches in the state ready_for_export in the language fr." in told.getvalue()
        assert "by language: pt-BR (1)." in told.getvalue()
        told = StringIO()
        call_command("export_trees", "--state", "growing", stdout=StringIO(), stderr=told)
        assert "by language: none at all." in told.getvalue()
        with pytest.raises(CommandError, match=r"by language: pt-BR \(1\)"):
            call_command("rerank_trees", "--lang", "fr")
        with pytest.raises(CommandError, match="no finished tree with the id"):
            call_command("rerank_trees", "--tree", SECOND)

    def test_what_is_no_filter_is_refused(self) -> None:
        for command in (["export_trees", "--lang", "pt_BR"], ["rerank_trees", "--lang", "pt_BR"]):
            with pytest.raises(CommandError, match="This is not a tag"):
                call_command(*command)
        with pytest.raises(CommandError, match="limit must be at least 1"):
            call_command("export_trees", "--limit", "-1")

    def test_language_and_state(self, tmp_path: Path) -> None:
        load(tmp_path, tree(lang="pt-BR"))
        assert exported(lang="en") == []
        assert len(exported(lang="pt-BR")) == 1
        assert exported(state=State.GROWING) == []


class TestRunningStates:
    def test_an_imported_growing_tree_offers_work(self, tmp_path: Path) -> None:
        load(tmp_path, {**tree(review_result=True), "tree_state": "growing"})
        assert set(Opening.objects.values_list("work", flat=True)) == {"assistant_reply"}
        work_until_state(ROOT, State.READY_FOR_EXPORT)


NODE = {"message_id": REPLY, "text": "", "role": "assistant"}
BAD = [
    ("{not json", "no_json"),
    ('["a list"]', "not_a_tree"),
    ('{"message_id": "x", "text": "flat"}', "not_a_tree"),
    (json.dumps({**tree(), "tree_state": "blooming"}), "unknown_state"),
    (json.dumps({**tree(), "message_tree_id": "abc"}), "bad_id"),
    (json.dumps({**tree(), "message_tree_id": REPLY}), "wrong_root"),
    (json.dumps(tree(role="assistant")), "unknown_role"),
    (json.dumps(tree(role="robot")), "unknown_role"),
    (json.dumps(tree(text=None)), "bad_text"),
    (json.dumps(tree(text="a\0b")), "bad_text"),
    (json.dumps(tree(text="\ud800")), "bad_text"),
    (json.dumps(tree(lang="no such tag!")), "language"),
    (json.dumps(tree(rank=-1)), "bad_fact"),
    (json.dumps(tree(rank=2**40)), "bad_fact"),
    (json.dumps(tree(review_count=2**31 - 1)), "bad_fact"),  # the next review would not fit into the column
    (json.dumps(tree(emojis={"+1": 2**31 - 1})), "bad_fact"),
    (json.dumps(tree(review_count="three")), "bad_fact"),
    (json.dumps(tree(emojis=["+1"])), "bad_fact"),
    (json.dumps(tree(extra="\0")), "bad_fact"),
    (json.dumps(tree(extra=float("nan"))), "bad_fact"),
    (json.dumps(tree(created_date="yesterday")), "bad_date"),
    (json.dumps(tree(created_date="9999-12-31T23:59:59-23:59")), "bad_date"),
    (json.dumps(tree(created_date="0001-01-01T00:00:00")), "bad_date"),
    (json.dumps(tree(replies=[tree()["prompt"]])), "repeated_message"),
    (json.dumps(tree(replies=[{**NODE, "parent_id": SECOND}])), "wrong_parent"),
    (json.dumps(tree(replies="none")), "bad_fact"),
    (json.dumps(tree(replies=["none"])), "not_a_message"),
    (json.dumps(tree(review_count=3.5)), "bad_fact"),
    (json.dumps(tree()).replace('"en"', '"en", "review_count": ' + "9" * 5000), "no_json"),
    (json.dumps(tree()).replace('"en"', '"en", "other": ' + "9" * 5000), "no_json"),
    (json.dumps(tree(review_count=10**300)), "bad_fact"),
    (json.dumps(tree(review_count="x" * 5_000_000)), "bad_fact"),
    (json.dumps(tree(extra=float("inf"))), "bad_fact"),
    (json.dumps({**tree(), "extra": "\ud800"}), "bad_fact"),
    (json.dumps({**tree(), "extra": "\0"}), "bad_fact"),
    (json.dumps(tree()).replace("Hello?", "C:\\Users"), "no_json"),
    (json.dumps(tree()).replace("Hello?", "\\ud83d"), "bad_text"),
    (json.dumps(tree()).replace('"en"', '"en", "other": ' + "[" * 100_000), "no_json"),
    (json.dumps(tree()).replace('"en"', '"en", "other": ' + "[" * 90 + "]" * 90), "bad_fact"),
    ("[" * 5_000_000, "no_json"),
]  # fmt: skip


class TestBadFiles:
    @pytest.mark.parametrize(("line", "code"), BAD)
    def test_a_bad_line_is_named_and_nothing_is_stored(self, tmp_path: Path, line: str, code: str) -> None:
        path = tmp_path / "bad.jsonl"
        good = {**tree(), "message_tree_id": SECOND}
        good["prompt"] = {**good["prompt"], "message_id": SECOND}
        path.write_text(json.dumps(good) + "\n" + line + "\n")
        with pytest.raises(Invalid) as refusal:
            import_files([path], policy=TreePolicy())
        assert refusal.value.code == code
        assert refusal.value.message.startswith("bad.jsonl, line 2: ")
        assert len(refusal.value.message) < 250
        assert not MessageTree.objects.exists()

    def test_a_message_of_another_tree(self, tmp_path: Path) -> None:
        load(tmp_path, tree(replies=[{"message_id": REPLY, "text": "a", "role": "assistant"}]))
        thief = {"message_id": REPLY, "text": "b", "role": "assistant"}
        other = {**tree(message_id=SECOND, replies=[thief]), "message_tree_id": SECOND}
        with pytest.raises(CommandError, match="already used in another tree"):
            path = tmp_path / "other.jsonl"
            path.write_text(json.dumps(other))
            call_command("import_trees", path)
        assert MessageTree.objects.count() == 1

    def test_a_message_of_an_earlier_line(self, tmp_path: Path) -> None:
        thief = {"message_id": REPLY, "text": "b", "role": "assistant"}
        last = {**tree(message_id=THIRD, replies=[thief]), "message_tree_id": THIRD}
        second = {**tree(message_id=SECOND), "message_tree_id": SECOND}
        with pytest.raises(Invalid, match=r"^trees.jsonl, line 3: message 2.* was in trees.jsonl, line 1 already"):
            load(tmp_path, tree(replies=[{**thief, "text": "a"}]), second, last)
        assert not MessageTree.objects.exists()

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (json.dumps(tree()).encode() + b"\n{\xff}", "line 2: cannot be read as UTF-8: byte 2 is 0xff."),
            (json.dumps(tree()).encode("utf-16"), "line 1: cannot be read as UTF-8.* save it as UTF-8"),
            (gzip.compress(json.dumps(tree()).encode())[:-9], "bad.jsonl.gz: cannot be read: Compressed file ended"),
            (b"\x1f\x8b\x08 no gzip at all" * 9, "bad.jsonl.gz: cannot be read"),
            (gzip.compress(random.Random(1).randbytes(99_999))[:5000] + b"\0" * 999, "bad.jsonl.gz"),
            (b"x" * (LONGEST + 1), "line 1: longer than 8 MB"),
        ],
        ids=["byte", "utf-16", "cut", "no gzip", "damaged", "long"],
    )
    def test_files_that_can_not_be_read(self, tmp_path: Path, content: bytes, told: str) -> None:
        path = tmp_path / "bad.jsonl.gz"
        path.write_bytes(content)
        with pytest.raises(CommandError, match=told):
            call_command("import_trees", path)
        assert not MessageTree.objects.exists()

    def test_a_batch_is_bounded_in_bytes_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trees = [{**tree(message_id=one), "message_tree_id": one} for one in (ROOT, SECOND, THIRD)]
        longest = max(len(json.dumps(one)) for one in trees)
        monkeypatch.setattr(importer, "BATCH_BYTES", longest * 3 // 2)
        batches: list[int] = []
        insert = importer._insert

        def counted(trees: list[ParsedTree], origin: str, policy: TreePolicy, license: str) -> None:
            batches.append(len(trees))
            insert(trees, origin, policy, license)

        monkeypatch.setattr(importer, "_insert", counted)
        load(tmp_path, *trees)
        assert batches == [2, 1] and MessageTree.objects.count() == 3

    def test_what_only_the_database_can_tell(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def insert(trees: list[ParsedTree], origin: str, policy: TreePolicy, license: str) -> None:
            if any(str(one.id) == SECOND for one in trees):
                raise DataError("value too long for this kind of column\nLINE 1: secret")

        monkeypatch.setattr(importer, "_insert", insert)
        with pytest.raises(Invalid, match=r"line 2: the database cannot keep it: value too long .*column$"):
            load(tmp_path, tree(), {**tree(message_id=SECOND), "message_tree_id": SECOND})

    def test_a_long_line_is_no_reason_to_refuse_it(self, tmp_path: Path) -> None:
        """Seven megabytes for one tree."""
        line = tree(text="word " * 1_400_000)
        load(tmp_path, line)
        assert exported() == [line]

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("import_trees", tmp_path / "missing.jsonl")
        (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(CommandError, match="cannot be read as UTF-8"):
            call_command("import_trees", tmp_path / "binary.jsonl")

    def test_replies_without_end(self, tmp_path: Path) -> None:
        node: dict[str, Any] = {"message_id": str(uuid.uuid4()), "text": "leaf", "role": "prompter"}
        for _ in range(260):
            node = {"message_id": str(uuid.uuid4()), "text": "x", "role": "assistant", "replies": [node]}
        with pytest.raises(Invalid, match="replies stand more than 250 deep"):
            load(tmp_path, tree(replies=[node]))

    def test_a_very_deep_tree(self, tmp_path: Path) -> None:
        deepest: dict[str, Any] = {"message_id": str(uuid.uuid4()), "text": "leaf", "role": "prompter"}
        for number in range(200):
            role = "assistant" if number % 2 == 0 else "prompter"
            deepest = {"message_id": str(uuid.uuid4()), "text": "x", "role": role, "replies": [deepest]}
        load(tmp_path, tree(replies=[deepest]))
        assert Message.objects.count() == 202
        assert exported() == [tree(replies=[deepest])]


class TestStateBehindTheMessages:
    """The import keeps the state of the file; a job moves trees that would wait forever."""

    @pytest.mark.parametrize(
        ("state", "root_accepted", "becomes"),
        [
            ("initial_prompt_review", True, State.PROMPT_LOTTERY_WAITING),
            ("initial_prompt_review", False, State.ABORTED_LOW_GRADE),
            ("growing", False, State.HALTED_BY_MODERATOR),
            ("growing", None, State.HALTED_BY_MODERATOR),
            ("ranking", True, State.READY_FOR_EXPORT),
            ("ready_for_scoring", True, State.READY_FOR_EXPORT),
        ],
    )
    def test_it_moves_on(self, tmp_path: Path, state: str, root_accepted: bool | None, becomes: State) -> None:
        line = {**tree(review_result=root_accepted), "tree_state": state}
        load(tmp_path, line)
        assert exported(state=None) == [line]
        assert not Opening.objects.exists()
        assert upkeep.advance_active_trees(policy=TreePolicy()) == 1
        assert MessageTree.objects.get().state == becomes
        assert upkeep.advance_active_trees(policy=TreePolicy()) == 0

    def test_what_offers_work_is_left_to_people(self, tmp_path: Path) -> None:
        load(tmp_path, {**tree(review_result=True), "tree_state": "growing"})
        assert Opening.objects.exists()
        assert upkeep.advance_active_trees(policy=TreePolicy()) == 0
        assert MessageTree.objects.get().state == State.GROWING
