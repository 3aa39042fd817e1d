"""Snapshots: what they take in and why, that their bytes never change, and how they are checked and compared."""

import hashlib
import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pyarrow.parquet
import pytest
import zstandard
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.api_clients import create_api_client
from oasst.accounts.documents import PUBLISHING_TERMS, TERMS
from oasst.accounts.models import Consent, Identity, User
from oasst.core.errors import Conflict, Gone, Invalid
from oasst.site import purging
from tests.factories import (
    conversation,
    growing_tree,
    new_person,
    new_prompt,
    new_reply,
    work_until_state,
)
from tests.paths import ROOT, SAMPLE
from tests.readers import read_with_datasets_5, read_with_pandas
from tests.readers.program import described, plain
from trees.contributing import withdrawal
from trees.interchange import batches
from trees.interchange.forms import FORMS
from trees.interchange.importer import clean_license
from trees.interchange.snapshots import folder as snapshot_folder
from trees.interchange.snapshots import freezing, frozen
from trees.interchange.snapshots.filters import Filters, whole_milliseconds
from trees.interchange.snapshots.manifest import manifest_bytes, sums_bytes
from trees.interchange.snapshots.reading import Batch
from trees.interchange.snapshots.salt import snapshot_pseudonyms
from trees.interchange.snapshots.verification import find_problems
from trees.interchange.tree_record import SPLITS, split_of
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Message,
    MessageReading,
    MessageTree,
    Ranking,
    ReadingKind,
    Review,
    Revision,
    Snapshot,
    SnapshotTree,
)
from trees.models.snapshot import clean_name
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db

SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)
SALT = "a long secret that nobody can guess"
UUID_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture(autouse=True)
def _own_places(settings: Any, tmp_path: Path) -> None:
    settings.SNAPSHOT_SALT = SALT
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"
    settings.KEPT_SNAPSHOT_SALT = tmp_path / "snapshot-salt"


@pytest.fixture
def finished(alice: User) -> Message:
    """The prompt of a finished tree with three answers by others."""
    return finished_tree(alice)


@pytest.fixture
def imported(db: None, tmp_path: Path) -> None:
    """A tree of a file, which takes less time than people's work."""
    bring(tmp_path / "in.jsonl", conversation())
    (tmp_path / "in.jsonl").unlink()


def finished_tree(author: User) -> Message:
    prompt = growing_tree(author, SMALL)
    work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
    prompt.refresh_from_db()
    return prompt


def finish_tree_of_train(author: User) -> None:
    """Finish trees until one of them is in the part for training: the hash of its published id decides."""
    published = snapshot_pseudonyms()
    while split_of(str(published.pseudonym("message", finished_tree(author).tree_id))) != "train":
        pass


def bring(path: Path, *lines: Any, license: str | None = "CC-BY-4.0") -> str:
    """Import these lines, and return what the command says."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return bring_file(path, license=license)


def bring_file(path: Path, *, license: str | None = "CC-BY-4.0") -> str:
    said = StringIO()
    options = [] if license is None else ["--license", license]
    call_command("import_trees", path, *options, stdout=said)
    return said.getvalue()


def create(name: str, folder: Path | None = None, *options: str) -> str:
    """Return the output of snapshot_create."""
    where = () if folder is None else ("--output", str(folder))
    return run("snapshot_create", "--name", name, *where, *options)


def run(*command: str) -> str:
    said = StringIO()
    call_command(*command, stdout=said, stderr=said)
    return said.getvalue()


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def content(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())


def rows_of(folder: Path, form: str) -> list[dict[str, Any]]:
    lines = [line for split in SPLITS for line in content(folder / f"data/{form}/{split}.jsonl.zst").splitlines()]
    return [json.loads(line) for line in lines]


def texts_in(folder: Path) -> set[str]:
    return {row["text"] for row in rows_of(folder, "messages")}


def texts_by_id(folder: Path) -> dict[str, str]:
    return {row["message_id"]: row["text"] for row in rows_of(folder, "messages")}


def pseudonym(message: Message) -> str:
    return snapshot_pseudonyms().pseudonym("message", str(message.pk))


def purge(person: User, moderator: User) -> None:
    started = purging.start_purge(user=person, actor=moderator, reason="Spam.")
    purging.continue_purge(purge_id=started.pk, policy=SMALL)


def withdraw(message: Message) -> None:
    assert message.author is not None
    withdrawal.withdraw(message_id=message.pk, author=message.author, policy=SMALL)


def edit(message: Message, moderator: User) -> None:
    moderator_actions.edit_message(
        message_id=message.pk, actor=moderator, text="Edited words.", reason="Typo.", policy=SMALL
    )


def answers_of(prompt: Message) -> list[Message]:
    return list(Message.objects.filter(parent=prompt, review_result=True).order_by("position"))


class TestSameBytes:
    @pytest.mark.slow
    def test_after_new_work_a_withdrawal_a_purge_and_an_edit(self, finished: Message, mo: User, tmp_path: Path) -> None:
        other = finished_tree(new_person("Olga"))
        bring_file(SAMPLE)
        create("2026.1", tmp_path / "first")
        finished_tree(new_person("Dora"))
        withdraw(finished)
        first_answer = answers_of(other)[0]
        moderator_actions.edit_message(
            message_id=first_answer.pk, actor=mo, text="Edited words.", reason="Typo.", policy=SMALL
        )
        assert other.author is not None
        purge(other.author, mo)
        digest = hashlib.sha256((tmp_path / "first" / "manifest.json").read_bytes()).hexdigest()
        assert create("2026.1", tmp_path / "second").endswith(f"SHA-256 of its manifest: {digest}\n")
        assert digests(tmp_path / "first") == digests(tmp_path / "second")

    def test_where_only_its_rows_were_restored(self, finished: Message, settings: Any, tmp_path: Path) -> None:
        """Not even the salt is needed: the frozen trees have their pseudonyms already."""
        create("2026.1", tmp_path / "first")
        dump = serializers.serialize("json", [*Snapshot.objects.all(), *SnapshotTree.objects.all()])
        settings.SNAPSHOT_SALT = "another secret of another machine"
        SnapshotTree.objects.all().delete()
        Snapshot.objects.all().delete()
        MessageTree.objects.all().update(state=State.ABORTED_LOW_GRADE)
        for one in serializers.deserialize("json", dump):
            one.save()
        create("2026.1", tmp_path / "second")
        assert digests(tmp_path / "first") == digests(tmp_path / "second")

    def test_whatever_the_order_of_import(self, tmp_path: Path) -> None:
        lines = [conversation() for _ in range(10)]
        for line in lines:
            prompt: Any = line["prompt"]
            for node in (prompt, *prompt["replies"]):
                node["created_date"] = "2026-01-01"
        folders = []
        for number, order in enumerate((lines, lines[::-1])):
            bring(tmp_path / "in.jsonl", *order)
            create(f"order-{number}", tmp_path / str(number), "--cutoff", "2026-06-01")
            folders.append(digests(tmp_path / str(number)))
            MessageTree.objects.all().delete()
        data = [{path: one for path, one in found.items() if path.startswith(("data", "trees"))} for found in folders]
        assert data[0] == data[1] and len(data[0]) > 20

    def test_they_name_no_machine_and_no_id_of_this_site(self, finished: Message, tmp_path: Path) -> None:
        bring_file(SAMPLE)
        create("2026.1", tmp_path / "out")
        files = [content(path) if path.suffix == ".zst" else path.read_bytes() for path in all_files(tmp_path / "out")]
        everything = b"".join(files)
        assert str(tmp_path).encode() not in everything and str(ROOT).encode() not in everything
        ids = {str(pk) for model in (Message, MessageTree, User) for pk in model.objects.values_list("pk", flat=True)}
        ids |= set(UUID_PATTERN.findall(SAMPLE.read_text()))
        assert len(ids) > 100
        assert not ids & set(UUID_PATTERN.findall(everything.decode(errors="ignore")))

    def test_a_restored_database_with_a_changed_tree_is_refused(self, imported: None, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "first")
        row = SnapshotTree.objects.get()
        for changed in (frozen.compress(b"{}"), b"no zstd"):
            SnapshotTree.objects.update(content=changed)
            with pytest.raises(CommandError, match=f"{row.tree_id} was changed"):
                create("2026.1", tmp_path / "second")
        SnapshotTree.objects.all().delete()
        with pytest.raises(CommandError, match="are missing in the database"):
            create("2026.1", tmp_path / "second")
        assert not (tmp_path / "second").exists()

    def test_other_libraries_are_named_and_nothing_is_written(
        self, imported: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        create("2026.1", tmp_path / "first")
        monkeypatch.setattr(snapshot_folder, "library_versions", lambda: {"zstandard": "0.26.0"})
        with pytest.raises(CommandError, match=r"written with zstandard 0\.25\.0 \(here 0\.26\.0\)"):
            create("2026.1", tmp_path / "second")
        assert not (tmp_path / "second").exists()


def all_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


class TestNames:
    @pytest.mark.parametrize("name", ["2026.1", "a", "OASST_3-rc.1", "x" * 64])
    def test_good_ones(self, name: str) -> None:
        assert clean_name(name) == name

    @pytest.mark.parametrize(
        "name", ["", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "a b", "a\n", "é", "x" * 65, "1.", "con", "NUL.txt"]
    )
    def test_bad_ones(self, name: str) -> None:
        with pytest.raises(Invalid) as refused:
            clean_name(name)
        assert refused.value.code == "snapshot_name"

    def test_one_name_is_one_snapshot(self, imported: None, tmp_path: Path) -> None:
        create("rc", tmp_path / "a", "--lang", "en")
        for options, reason in (
            ((), "frozen with other options: lang en"),
            (("--lang", "en", "--include-rejected"), "other options: include_rejected False"),
            (("--lang", "en", "--cutoff", "2020-01-01"), "other options: cutoff 20"),
        ):
            with pytest.raises(CommandError, match=reason):
                create("rc", tmp_path / "b", *options)
        with pytest.raises(CommandError, match="There is a snapshot rc already"):
            create("RC", tmp_path / "b", "--lang", "en")
        create("rc", tmp_path / "b", "--lang", "EN")
        assert Snapshot.objects.count() == 1


class TestWhoAndHowMany:
    def test_whose_account_froze_it(self, imported: None, alice: User, tmp_path: Path) -> None:
        User.objects.filter(pk=alice.pk).update(email="alice@example.org")
        create("2026.1", tmp_path / "1", "--by", "Alice@example.org")
        assert Snapshot.objects.get().created_by == alice
        with pytest.raises(CommandError, match="Nobody has the address"):
            create("2026.2", tmp_path / "2", "--by", "nobody@example.org")
        assert Snapshot.objects.count() == 1

    def test_reviews_that_a_file_only_counts(self, tmp_path: Path, client: Client, settings: Any) -> None:
        """The page, the card and the API say the same of them."""
        line: Any = conversation()
        line["prompt"]["review_count"] = 1_709
        bring(tmp_path / "in.jsonl", line)
        assert "1709 counted reviews" in create("2026.1")
        run("snapshot_publish", "2026.1")
        for page in (client.get("/data/2026.1/").text, client.get("/data/").text):
            shown = re.findall(r"<dt>(.*? reviews|Reviews .*?)</dt><dd>(.*?)</dd>", page)
            assert shown == [("Reviews that decided", "1,709"), ("Single reviews", "0")]
        card = (settings.SNAPSHOT_FOLDER / "2026.1" / "card.html").read_text()
        assert "<dt>Reviews that decided</dt><dd>1,709</dd>" in card and "<dt>Single reviews</dt><dd>0</dd>" in card


class TestSelection:
    def test_the_default_is_the_data_set(self, finished: Message, tmp_path: Path) -> None:
        new_prompt(new_person("Dora"))
        create("2026.1", tmp_path / "out")
        assert texts_in(tmp_path / "out") == {finished.text, *(answer.text for answer in answers_of(finished))}
        manifest = manifest_of(tmp_path / "out")
        assert manifest["counts"]["trees"] == 1 and manifest["bases"] == {f"terms {TERMS.version}": 4}

    def test_trees_in_all_states_with_undecided_messages(self, finished: Message, tmp_path: Path) -> None:
        prompt = new_prompt(new_person("Dora"))
        create("a", tmp_path / "a", "--state", "all")
        assert prompt.text not in texts_in(tmp_path / "a")
        assert manifest_of(tmp_path / "a")["left_out"]["trees"]["undecided"] == 1
        create("b", tmp_path / "b", "--state", "all", "--include-rejected")
        assert prompt.text in texts_in(tmp_path / "b")

    def test_one_language(self, finished: Message, tmp_path: Path) -> None:
        bring(tmp_path / "in.jsonl", conversation(lang="de"))
        create("de", tmp_path / "out", "--lang", "DE")
        assert texts_in(tmp_path / "out") == {"Why?", "Answer 0", "Answer 1"}
        with pytest.raises(CommandError, match=r"Nothing matches.* in the language fr"):
            create("fr", tmp_path / "fr", "--lang", "fr")
        assert not Snapshot.objects.filter(name="fr").exists() and not (tmp_path / "fr").exists()

    def test_a_file_that_names_no_language(self, tmp_path: Path) -> None:
        line: Any = conversation()
        line["prompt"]["lang"] = None
        del line["prompt"]["replies"][0]["lang"]
        bring(tmp_path / "in.jsonl", line)
        create("2026.1", tmp_path / "out")
        assert [row["lang"] for row in rows_of(tmp_path / "out", "messages")] == ["en"] * 3
        assert Snapshot.objects.get().counts["languages"] == {"en": 3}

    def test_machine_made_text_on_request_only(self, finished: Message, tmp_path: Path) -> None:
        line: Any = conversation()
        line["prompt"]["replies"][0]["synthetic"] = True
        bring(tmp_path / "in.jsonl", line)
        create("a", tmp_path / "a")
        assert "Why?" not in texts_in(tmp_path / "a")
        assert manifest_of(tmp_path / "a")["left_out"]["trees"] == {"synthetic": 1}
        create("b", tmp_path / "b", "--include-synthetic")
        assert "Why?" in texts_in(tmp_path / "b")

    def test_a_cutoff_leaves_out_later_work_and_judgments(self, finished: Message, tmp_path: Path) -> None:
        answers = answers_of(finished)
        later, cutoff = timezone.now(), timezone.now() - timedelta(hours=1)
        Message.objects.filter(tree=finished.pk).update(created_at=cutoff - timedelta(seconds=1))
        Message.objects.filter(pk=answers[0].pk).update(created_at=cutoff)
        Review.objects.filter(message=finished).update(created_at=later)
        Consent.objects.update(accepted_at=cutoff - timedelta(days=1))
        create("2026.1", tmp_path / "out", "--cutoff", cutoff.isoformat())
        assert texts_in(tmp_path / "out") == {finished.text, *(answer.text for answer in answers[1:])}
        left_out = manifest_of(tmp_path / "out")["left_out"]
        assert left_out["messages"] == {"after_cutoff": 1} and left_out["reviews"]["after_cutoff"] >= 2
        (prompt,) = (row for row in rows_of(tmp_path / "out", "messages") if row["parent_id"] is None)
        assert prompt["labels"] is None, "its labels came later"

    def test_a_text_that_was_edited_after_the_cutoff_is_left_out(
        self, finished: Message, mo: User, tmp_path: Path
    ) -> None:
        """Neither the later text is published, nor the one that somebody took out."""
        first, second, third = answers_of(finished)
        edit(first, mo)
        cutoff = timezone.now()
        edit(second, mo)
        create("before", tmp_path / "before", "--cutoff", whole_milliseconds(cutoff).isoformat())
        edited = (first, "Edited words."), (third, third.text)
        assert texts_by_id(tmp_path / "before") == {
            pseudonym(finished): finished.text,
            **{pseudonym(answer): text for answer, text in edited},
        }
        assert manifest_of(tmp_path / "before")["left_out"]["messages"] == {"edited_after_cutoff": 1}
        create("now", tmp_path / "now")
        assert texts_by_id(tmp_path / "now")[pseudonym(second)] == "Edited words."

    def test_what_was_taken_back_after_the_cutoff_is_left_out_too(
        self, finished: Message, mo: User, tmp_path: Path
    ) -> None:
        first, second, third = answers_of(finished)
        cutoff = whole_milliseconds(timezone.now())
        withdraw(first)
        moderator_actions.delete_message(message_id=second.pk, actor=mo, reason="Spam.", policy=SMALL)
        create("2026.1", tmp_path / "out", "--cutoff", cutoff.isoformat())
        assert texts_in(tmp_path / "out") == {finished.text, third.text}
        assert manifest_of(tmp_path / "out")["left_out"]["messages"] == {"withdrawn": 1, "deleted": 1}

    def test_a_cutoff_in_the_future_is_refused(self, imported: None) -> None:
        with pytest.raises(CommandError, match="in the future"):
            create("2026.1", None, "--cutoff", (timezone.now() + timedelta(minutes=1)).isoformat())

    def test_trees_since_a_date(self, finished: Message, tmp_path: Path) -> None:
        old = finished_tree(new_person("Dora"))
        Message.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
        create("2026.1", tmp_path / "out", "--since", (timezone.now() - timedelta(days=1)).isoformat())
        assert old.text not in texts_in(tmp_path / "out") and finished.text in texts_in(tmp_path / "out")

    def test_what_a_machine_said_about_the_present_text(self, finished: Message, tmp_path: Path) -> None:
        first, second, *_ = answers_of(finished)
        earlier = Revision.objects.create(message=second, text="Earlier words.")
        for revision_id in (first.revision_id, earlier.pk):
            MessageReading.objects.create(
                revision_id=revision_id, kind=ReadingKind.TOXICITY.value, result={"toxicity": 0.25}
            )
        create("2026.1", tmp_path / "out")
        scores = {row["message_id"]: row["detoxify"] for row in rows_of(tmp_path / "out", "messages")}
        assert scores.pop(pseudonym(first))["toxicity"] == 0.25
        assert set(scores.values()) == {None}

    def test_hidden_and_deleted_messages_never(self, finished: Message, mo: User, tmp_path: Path) -> None:
        first, second, third = answers_of(finished)
        Message.objects.filter(pk=first.pk).update(hidden=True)
        moderator_actions.delete_message(message_id=second.pk, actor=mo, reason="Spam.", policy=SMALL)
        create("2026.1", tmp_path / "out", "--state", "all", "--include-rejected")
        assert texts_in(tmp_path / "out") == {finished.text, third.text}
        assert manifest_of(tmp_path / "out")["left_out"]["messages"] == {"deleted": 1, "hidden": 1}
        ranked = [row["ranked_message_ids"] for row in rows_of(tmp_path / "out", "ranking_events")]
        assert ranked == [], "one reply has no order"


class TestBasis:
    def test_present_terms_say_whether_they_allow_publication(self) -> None:
        """A new version of the terms needs a decision here."""
        assert TERMS.version in PUBLISHING_TERMS

    def test_imported_messages_need_a_license(self, finished: Message, tmp_path: Path) -> None:
        bring(tmp_path / "in.jsonl", conversation(), license=None)
        create("2026.1", tmp_path / "out")
        assert "Why?" not in texts_in(tmp_path / "out")
        left_out = manifest_of(tmp_path / "out")["left_out"]
        assert left_out["trees"] == {"import_without_license": 1}
        assert left_out["messages"] == {"import_without_license": 2}

    def test_a_license_is_given_later(self, tmp_path: Path) -> None:
        first, second = conversation(), conversation()
        bring(tmp_path / "in.jsonl", first, license=None)
        with pytest.raises(CommandError, match=r"may be published.*import_without_license \(1\)"):
            create("2026.1", tmp_path / "out")
        bring(tmp_path / "in2.jsonl", second, license="cc0-1.0")
        said = bring(tmp_path / "in.jsonl", first, second, license="cc-by-4.0")
        assert "0 trees with 0 messages imported, 2 already here" in said
        assert "1 of those have this license now" in said and "1 of those keep another license" in said
        create("2026.1", tmp_path / "out")
        manifest = manifest_of(tmp_path / "out")
        assert manifest["bases"] == {"license CC-BY-4.0": 3, "license CC0-1.0": 3} and "license" not in manifest

    @pytest.mark.parametrize("license", ["", "CC BY 4.0", "free"])
    def test_a_license_is_one_of_spdx(self, license: str, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="no SPDX license"):
            bring(tmp_path / "in.jsonl", conversation(), license=license)
        assert not MessageTree.objects.exists()

    def test_work_here_below_an_import_has_its_own_basis(self, alice: User, tmp_path: Path) -> None:
        bring(tmp_path / "in.jsonl", conversation() | {"tree_state": "growing"})
        reply = new_reply(Message.objects.get(parent=None), alice)
        create("2026.1", tmp_path / "out", "--state", "all", "--include-rejected")
        bases = {row["text"]: row["basis"] for row in rows_of(tmp_path / "out", "messages")}
        assert bases[reply.text] == f"terms {TERMS.version}" and bases["Why?"] == "license CC-BY-4.0"

    def test_whoever_did_not_agree_is_left_out_with_what_is_below(self, finished: Message, tmp_path: Path) -> None:
        other = finished_tree(new_person("Dora"))
        Message.objects.filter(pk=other.pk).update(consent="")
        terms = answers_of(finished)[0]
        Message.objects.filter(pk=terms.pk).update(consent="draft")
        create("2026.1", tmp_path / "out")
        assert not {other.text, terms.text} & texts_in(tmp_path / "out")
        left_out = manifest_of(tmp_path / "out")["left_out"]
        assert left_out["trees"] == {"no_agreement": 1}
        assert left_out["messages"] == {"below_one_left_out": 3, "terms_without_publication": 1}

    def test_judgments_need_an_agreement_of_their_time(self, finished: Message, tmp_path: Path) -> None:
        judges = list(Review.objects.filter(message=finished).order_by("created_at"))
        first = Consent.objects.filter(user=judges[0].author)
        first.update(accepted_at=judges[0].created_at + timedelta(seconds=1))
        second = Consent.objects.filter(user=judges[1].author)
        second.update(withdrawn_at=judges[1].created_at + timedelta(seconds=1))
        create("2026.1", tmp_path / "out")
        assert manifest_of(tmp_path / "out")["left_out"]["reviews"] == {"no_agreement": 1}
        rows = [row for row in rows_of(tmp_path / "out", "review_events") if row["message_id"] == pseudonym(finished)]
        assert len(rows) == len(judges) - 1
        (prompt,) = (row for row in rows_of(tmp_path / "out", "messages") if row["parent_id"] is None)
        assert prompt["labels"]["count"] == [len(rows)], "means are those of the published reviews"

    def test_an_api_client_may_vouch_for_its_people(self, finished: Message, tmp_path: Path) -> None:
        bot, _ = create_api_client(name="bot")
        Message.objects.filter(pk=finished.pk).update(consent="", api_client=bot)
        with pytest.raises(CommandError, match="no_agreement"):
            create("a", tmp_path / "a")
        create("b", tmp_path / "b", "--vouched-by", str(bot.pk))
        manifest = manifest_of(tmp_path / "b")
        (client,) = manifest["filters"]["vouched_by"]
        assert client != str(bot.pk) and manifest["bases"] == {f"client {client}": 1, f"terms {TERMS.version}": 3}
        assert not (tmp_path / "b" / "NOTICE").exists(), "one license is that of the site"
        assert '\nlicense:\n- "cc-by-4.0"\n' in (tmp_path / "b" / "README.md").read_text()
        with pytest.raises(CommandError, match="There is no API client"):
            create("c", tmp_path / "c", "--vouched-by", str(finished.pk))
        for wrong in ("bot", f"{bot.pk}=soon", f"{bot.pk}="):
            with pytest.raises(CommandError, match=r"is not ID or ID=DATE|must be a date"):
                create("c", tmp_path / "c", "--vouched-by", wrong)
        with pytest.raises(CommandError, match="is named twice"):
            create("c", tmp_path / "c", "--vouched-by", f"{bot.pk}=2026-01-31", "--vouched-by", str(bot.pk))

    def test_since_when_it_vouches(self, finished: Message, tmp_path: Path) -> None:
        bot, _ = create_api_client(name="bot")
        Message.objects.filter(pk=finished.pk).update(consent="", api_client=bot)
        day = finished.created_at.date()
        with pytest.raises(CommandError, match="no_agreement"):
            create("a", tmp_path / "a", "--vouched-by", f"{bot.pk}={day + timedelta(days=1)}")
        create("b", tmp_path / "b", "--vouched-by", f"{bot.pk}={day}")
        manifest = manifest_of(tmp_path / "b")
        (client,) = manifest["filters"]["vouched_by"]
        assert manifest["filters"]["vouched_since"] == {client: f"{day}T00:00:00+00:00"}
        assert manifest["bases"][f"client {client} since {day}"] == 1
        assert f"CC-BY-4.0 (API client since {day})" in (tmp_path / "b" / "README.md").read_text()
        with pytest.raises(CommandError, match="other options: vouched_since"):
            create("b", tmp_path / "b", "--vouched-by", str(bot.pk))

    def test_a_client_vouches_for_no_judgment_before_it_knew_the_person(
        self, finished: Message, tmp_path: Path
    ) -> None:
        bot, _ = create_api_client(name="bot")
        judges = list(Review.objects.filter(message=finished).order_by("created_at"))
        for judge, since in zip(judges, (timedelta(seconds=1), timedelta()), strict=False):
            Consent.objects.filter(user=judge.author).delete()
            Identity.objects.create(
                user=judge.author, api_client=bot, username=str(judge.pk), created_at=judge.created_at + since
            )
        create("2026.1", tmp_path / "out", "--vouched-by", str(bot.pk))
        rows = [row for row in rows_of(tmp_path / "out", "review_events") if row["message_id"] == pseudonym(finished)]
        assert len(rows) == len(judges) - 1

    def test_a_license_that_no_column_holds(self) -> None:
        longest = "LicenseRef-" + 245 * "a"
        assert clean_license(longest) == longest
        with pytest.raises(Invalid, match="at most 256 characters"):
            clean_license(longest + "a")


class TestWithdrawals:
    @pytest.mark.slow
    def test_what_was_published_and_withdrawn_is_listed(self, finished: Message, mo: User, tmp_path: Path) -> None:
        other, quiet = finished_tree(new_person("Olga")), finished_tree(new_person("Quiet"))
        create("2026.1", tmp_path / "1")
        assert (tmp_path / "1" / "withdrawn.jsonl").read_bytes() == b""
        assert other.author is not None
        unpublished = finished_tree(other.author)
        withdraw(answers_of(finished)[0])
        withdraw(unpublished)
        purge(other.author, mo)
        create("2026.2", tmp_path / "2")
        listed = [json.loads(line) for line in (tmp_path / "2" / "withdrawn.jsonl").read_text().splitlines()]
        assert {(row["message_id"], row["reason"]) for row in listed} == {
            (pseudonym(answers_of_all(finished)[0]), "withdrawn"),
            (pseudonym(other), "purged"),
            *((pseudonym(answer), "below_one_withdrawn") for answer in answers_of_all(other)),
        }
        assert listed == sorted(listed, key=lambda row: (row["message_tree_id"], row["message_id"]))
        assert manifest_of(tmp_path / "2")["counts"]["withdrawn"] == len(listed) == 5
        assert quiet.text in texts_in(tmp_path / "2") and other.text not in texts_in(tmp_path / "2")
        create("2026.3", tmp_path / "3")
        assert (tmp_path / "3" / "withdrawn.jsonl").read_bytes() == (tmp_path / "2" / "withdrawn.jsonl").read_bytes()

    def test_another_salt_is_refused(self, imported: None, settings: Any, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "1")
        settings.SNAPSHOT_SALT = "another long secret of somebody"
        with pytest.raises(CommandError, match=r"is not that of 2026\.1"):
            create("2026.2", tmp_path / "2")
        create("2026.2", tmp_path / "2", "--new-salt")
        ids = [{row["message_id"] for row in rows_of(tmp_path / one, "messages")} for one in "12"]
        assert not ids[0] & ids[1]


def answers_of_all(prompt: Message) -> list[Message]:
    return list(Message.objects.filter(parent=prompt).order_by("position"))


class TestSalt:
    def test_it_is_made_once_and_only_its_owner_can_read_it(
        self, imported: None, settings: Any, tmp_path: Path
    ) -> None:
        settings.SNAPSHOT_SALT = ""
        assert "A secret for pseudonyms was made" in create("2026.1", tmp_path / "1")
        assert settings.KEPT_SNAPSHOT_SALT.stat().st_mode & 0o777 == 0o600
        kept = settings.KEPT_SNAPSHOT_SALT.read_text()
        assert "secret" not in create("2026.2", tmp_path / "2")
        assert settings.KEPT_SNAPSHOT_SALT.read_text() == kept
        assert digests(tmp_path / "1")["trees/train.jsonl.zst"] == digests(tmp_path / "2")["trees/train.jsonl.zst"]

    def test_writing_again_needs_none_and_makes_none(self, finished: Message, settings: Any, tmp_path: Path) -> None:
        bot, _ = create_api_client(name="bot")
        other, _ = create_api_client(name="other")
        Message.objects.filter(pk=finished.pk).update(consent="", api_client=bot)
        create("2026.1", tmp_path / "1", "--vouched-by", str(bot.pk))
        with pytest.raises(CommandError, match="other options: vouched_by"):
            create("2026.1", tmp_path / "2", "--vouched-by", str(other.pk))
        for place, salt in enumerate(("", "short", "another long secret of somebody")):
            settings.SNAPSHOT_SALT = salt
            folder = tmp_path / f"again-{place}"
            assert "secret" not in create("2026.1", folder)
            assert digests(folder) == digests(tmp_path / "1")
            with pytest.raises(CommandError, match="other options: lang None"):
                create("2026.1", folder, "--lang", "de")
        assert not settings.KEPT_SNAPSHOT_SALT.exists()

    def test_a_short_one_is_refused(self, imported: None, settings: Any) -> None:
        settings.SNAPSHOT_SALT = "short"
        with pytest.raises(CommandError, match="shorter than 16"):
            create("2026.1")


class TestRetracting:
    def test_the_trees_go_and_the_manifest_stays(self, imported: None, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "1")
        assert "was retracted" in run("snapshot_retract", "2026.1", "--reason", "A court said so.")
        assert not SnapshotTree.objects.exists()
        snapshot = Snapshot.objects.get()
        assert snapshot.manifest == manifest_of(tmp_path / "1")
        with pytest.raises(CommandError, match="was retracted: A court said so"):
            create("2026.1", tmp_path / "1")
        with pytest.raises(Gone):
            snapshot_folder.write_folder(snapshot, tmp_path / "2")
        run("snapshot_retract", "2026.1", "--reason", "Again.")
        snapshot.refresh_from_db()
        assert snapshot.retract_reason == "A court said so."
        assert "retracted" in run("snapshot_list")

    def test_unknown_names(self, db: None) -> None:
        with pytest.raises(CommandError, match=r"no snapshot '2026\.1'"):
            run("snapshot_retract", "2026.1", "--reason", "Why not.")


class TestFolder:
    def test_the_default_place(self, imported: None, settings: Any) -> None:
        create("2026.1")
        assert "is there already, with the same bytes" in create("2026.1")
        assert [path.name for path in settings.SNAPSHOT_FOLDER.iterdir()] == ["2026.1"]

    def test_sha256sum_checks_it(self, imported: None, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "out")
        sums = (tmp_path / "out" / "SHA256SUMS").read_text().splitlines()
        listed = {path: digest for digest, path in (line.split("  ") for line in sums)}
        found = digests(tmp_path / "out")
        del found["SHA256SUMS"]
        assert listed == found

    def test_another_content_is_replaced_on_request_only(self, imported: None, tmp_path: Path) -> None:
        create("a", tmp_path / "out")
        before = digests(tmp_path / "out")
        with pytest.raises(CommandError, match="has another content"):
            create("b", tmp_path / "out")
        assert digests(tmp_path / "out") == before
        create("b", tmp_path / "out", "--replace")
        assert manifest_of(tmp_path / "out")["name"] == "b"
        (tmp_path / "out" / "manifest.json").write_text("{}")
        create("b", tmp_path / "out", "--replace")
        assert manifest_of(tmp_path / "out")["name"] == "b"
        assert {path.name for path in tmp_path.iterdir()} == {"out"}

    def test_the_former_one_is_put_back_if_it_cannot_be_replaced(
        self, imported: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        create("a", tmp_path / "out")
        before, rename = digests(tmp_path / "out"), Path.rename

        def fail(path: Path, target: Path) -> Path:
            if target.name == "out" and not path.name.endswith(snapshot_folder.FORMER):
                raise OSError("disk full")
            return rename(path, target)

        monkeypatch.setattr(snapshot_folder, "exchange", lambda first, second: False)
        monkeypatch.setattr(Path, "rename", fail)
        with pytest.raises(CommandError, match="disk full"):
            create("b", tmp_path / "out", "--replace")
        assert digests(tmp_path / "out") == before

    def test_what_is_no_snapshot_is_never_replaced(self, imported: None, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter.txt").write_text("Dear Ann")
        with pytest.raises(CommandError, match="is no snapshot"):
            create("a", tmp_path / "home", "--replace")
        assert (tmp_path / "home" / "letter.txt").exists()
        (tmp_path / "empty").mkdir()
        create("a", tmp_path / "empty")

    def test_a_folder_that_cannot_be_written(self, imported: None, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CommandError, match="out: cannot be written"):
            create("a", tmp_path / "file" / "out")

    def test_only_what_dead_processes_left_is_removed(self, imported: None, tmp_path: Path) -> None:
        (tmp_path / ".out.99.partial").mkdir()
        with snapshot_folder._partial_folder(tmp_path / "out") as living:
            create("a", tmp_path / "out")
            assert living.is_dir() and not (tmp_path / ".out.99.partial").exists()


class TestReaders:
    @pytest.mark.slow
    def test_everything_reads_every_table(self, alice: User, tmp_path: Path) -> None:
        bring_file(SAMPLE)
        finish_tree_of_train(alice)
        create("2026.1", tmp_path / "out", "--include-synthetic")
        tables = {(form.name, split): table(tmp_path / "out", form.name, split) for form in FORMS for split in SPLITS}
        counts = manifest_of(tmp_path / "out")["counts"]["rows"]
        assert counts["messages"]["train"] > 100 and counts["pairs"]["train"] > 10
        assert [form.name for form in FORMS if not counts[form.name]["train"]] == []
        for form in FORMS:
            for split in SPLITS:
                path = tables[form.name, split]
                schema = pyarrow.parquet.read_schema(path)
                types = {one.name: described(one.type, pyarrow.types) for one in schema}
                assert types == described_columns(form.columns), f"{form.name}: the same in all splits"
                assert pyarrow.parquet.read_metadata(path).num_rows == counts[form.name][split]
        trains = {form.name: tables[form.name, "train"] for form in FORMS}
        lines = {"messages": tmp_path / "out/data/messages/train.jsonl.zst"}
        for reader, paths in (
            (read_with_pandas, trains),
            (read_with_datasets_5, trains),
            (read_with_datasets_5, lines),
        ):
            for form, read in zip(paths, reader(list(paths.values()), tmp_path / "scratch"), strict=True):
                expected = expected_rows(tmp_path / "out", form, "train")
                assert len(expected) == counts[form]["train"]
                assert list(map(plain, read.rows)) == expected
                assert list(read.rows[0]) == list(expected[0])


def expected_rows(folder: Path, form: str, split: str) -> list[Any]:
    """Return the rows of the JSON Lines, as `plain` rounds what readers found."""
    return [plain(json.loads(line)) for line in content(folder / f"data/{form}/{split}.jsonl.zst").splitlines()]


def table(folder: Path, form: str, split: str) -> Path:
    return folder / "data" / form / f"{split}.parquet"


def described_columns(kind: Any) -> Any:
    if isinstance(kind, dict):
        return {name: described_columns(part) for name, part in kind.items()}
    if isinstance(kind, list):
        return [described_columns(kind[0])]
    return {"float64": "double"}.get(kind, kind)


@pytest.fixture(scope="module")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "out"


@pytest.fixture
def written(_kept: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A written snapshot to damage. Only the first test makes one, since verifying needs no database."""
    if not _kept.exists():
        request.getfixturevalue("finished")
        path = tmp_path / "in.jsonl"
        path.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[-20:]))
        bring_file(path)
        create("2026.1", _kept, "--include-synthetic")
    return Path(shutil.copytree(_kept, tmp_path / "out"))


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def resign(folder: Path) -> None:
    """Make manifest and sums agree with the files, as a careful forger would."""
    manifest = manifest_of(folder)
    for path in manifest["files"]:
        data = (folder / path).read_bytes()
        manifest["files"][path] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    (folder / "SHA256SUMS").write_bytes(sums_bytes(manifest))


def problems_of(folder: Path) -> str:
    """Return what snapshot_verify says about a folder in which it finds problems."""
    said = StringIO()
    with pytest.raises(CommandError, match="is not what was published"):
        call_command("snapshot_verify", folder, stdout=said)
    return said.getvalue()


class TestVerify:
    def test_a_good_one(self, written: Path) -> None:
        with CaptureQueriesContext(connection) as captured:
            said = run("snapshot_verify", str(written))
        assert "is complete and unchanged" in said
        assert hashlib.sha256((written / "manifest.json").read_bytes()).hexdigest() in said
        assert len(captured) == 0

    def test_one_byte_of_any_file(self, written: Path) -> None:
        """The first problem is asked for only: rows are computed again after all files were compared."""
        paths = list(digests(written))
        assert len(paths) > len(FORMS) * len(SPLITS) * 2 + len(SPLITS)
        for path in paths:
            original = (written / path).read_bytes()
            if not original:  # such as withdrawn.jsonl of a first snapshot
                (written / path).write_bytes(b"\n")
            else:
                flip_byte(written / path)
            try:
                told = next(find_problems(written), "nothing")
            except Invalid as error:
                told = error.message
            assert path in told, f"{path} was changed, and this was told: {told}"
            (written / path).write_bytes(original)
        assert next(find_problems(written), None) is None

    def test_one_byte_of_all_files_at_once(self, written: Path) -> None:
        changed = [path for path in digests(written) if path not in ("manifest.json", "SHA256SUMS")]
        for path in changed:
            (written / path).write_bytes((written / path).read_bytes() + b" ")
        assert problems_of(written).splitlines() == [
            *(f"{path} was changed: its size or SHA-256 is not that of the manifest." for path in changed),
            "The rows were not computed again, because the trees are not those of the manifest.",
        ]

    def test_missing_and_additional_files(self, written: Path) -> None:
        (written / "data/messages/train.parquet").unlink()
        (written / "notes.txt").write_text("Hello")
        said = problems_of(written)
        assert "data/messages/train.parquet is missing." in said and "notes.txt is not in the manifest." in said
        (written / "SHA256SUMS").unlink()
        assert "SHA256SUMS is missing" in problems_of(written)

    def test_rows_that_do_not_follow_from_the_trees(self, written: Path) -> None:
        """A forger who changes the manifest too is found, because all rows are computed again."""
        path = written / "data/messages/train.jsonl.zst"
        path.write_bytes(zstandard.compress(content(path).replace(b'"rank":0', b'"rank":1', 1)))
        resign(written)
        assert problems_of(written) == "data/messages/train.jsonl.zst does not follow from the trees.\n"

    @pytest.mark.parametrize(
        "forge",
        [
            lambda lines: [lines[1], lines[0], *lines[2:]],
            lambda lines: [lines[0], *lines],
            lambda lines: [lines[0].replace(b'{"rankings"', b'{ "rankings"', 1), *lines[1:]],
            lambda lines: [b'{"tree": 1, "reviews": [], "rankings": []}', *lines[1:]],
            lambda lines: [b"[" * 100_000, *lines[1:]],
        ],
    )
    def test_trees_that_nobody_froze(self, written: Path, forge: Callable[[list[bytes]], list[bytes]]) -> None:
        path = written / "trees/train.jsonl.zst"
        lines = forge(content(path).splitlines())
        path.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in lines)))
        resign(written)
        assert "trees/train.jsonl.zst, line " in problems_of(written)

    def test_a_tree_that_was_left_out(self, written: Path) -> None:
        path = written / "trees/train.jsonl.zst"
        path.write_bytes(zstandard.compress(b"".join(content(path).splitlines(keepends=True)[1:])))
        resign(written)
        assert "source_sha256 is another one" in problems_of(written)

    def test_a_tree_without_the_columns_of_a_frozen_one(self, written: Path) -> None:
        path = written / "trees/train.jsonl.zst"
        first, *others = content(path).splitlines(keepends=True)
        record = json.loads(first)
        del record["tree"]["prompt"]["user_id"]
        line = orjson.dumps(record, option=orjson.OPT_SORT_KEYS) + b"\n"
        path.write_bytes(zstandard.compress(b"".join([line, *others])))
        resign(written)
        assert "A tree has not the columns of a frozen tree: KeyError, 'user_id'." in problems_of(written)

    @pytest.mark.parametrize("counts", [[1], {"rows": [1]}, 1])
    def test_counts_that_are_none(self, counts: Any, written: Path) -> None:
        manifest = manifest_of(written) | {"counts": counts}
        (written / "manifest.json").write_bytes(manifest_bytes(manifest))
        resign(written)
        assert problems_of(written) == "The manifest has other numbers of trees than there are.\n"

    def test_a_manifest_with_a_number_that_json_lacks(self, written: Path) -> None:
        (written / "manifest.json").write_text(json.dumps(manifest_of(written) | {"counts": float("nan")}))
        with pytest.raises(CommandError, match="is no manifest of a snapshot"):
            call_command("snapshot_verify", written)

    def test_sums_that_cannot_be_read(self, written: Path) -> None:
        (written / "SHA256SUMS").unlink()
        (written / "SHA256SUMS").mkdir()
        with pytest.raises(CommandError, match="SHA256SUMS: cannot be read"):
            call_command("snapshot_verify", written)

    def test_other_libraries_compare_rows_and_not_bytes(self, written: Path) -> None:
        path = written / "data/messages/train.jsonl.zst"
        path.write_bytes(zstandard.ZstdCompressor(level=1).compress(content(path)))
        manifest = manifest_of(written)
        manifest["libraries"]["zstandard"] = "0.1.0"
        (written / "manifest.json").write_bytes(manifest_bytes(manifest))
        resign(written)
        assert "is complete and unchanged" in run("snapshot_verify", str(written))
        path.write_bytes(zstandard.compress(content(path).replace(b'"rank":0', b'"rank":1', 1)))
        resign(written)
        assert "does not follow from the trees" in problems_of(written)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": 1}}', "[" * 100_000, "\udcff"])
    def test_what_is_no_snapshot(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(CommandError, match="is no manifest of a snapshot"):
            call_command("snapshot_verify", tmp_path)

    def test_it_leaves_nothing_behind_when_it_is_ended(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def end(folder: Path, **_: Any) -> Iterator[str]:
            with TemporaryDirectory(dir=tmp_path):
                assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
                signal.raise_signal(signal.SIGTERM)
                yield "not ended"

        monkeypatch.setattr("trees.management.commands.snapshot_verify.find_problems", end)
        with pytest.raises(SystemExit):
            run("snapshot_verify", str(tmp_path))
        assert not list(tmp_path.iterdir())

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="is no manifest"):
            call_command("snapshot_verify", tmp_path / "nowhere")


class TestDiff:
    @pytest.mark.slow
    def test_everything_that_changes(self, finished: Message, mo: User, tmp_path: Path) -> None:
        other = finished_tree(new_person("Olga"))
        create("1", tmp_path / "1")
        first, second, _ = answers_of(finished)
        withdraw(first)
        moderator_actions.edit_message(
            message_id=second.pk, actor=mo, text="Edited words.", reason="Typo.", policy=SMALL
        )
        moderator_actions.delete_message(message_id=answers_of(other)[0].pk, actor=mo, reason="Spam.", policy=SMALL)
        added = finished_tree(new_person("Dora"))
        create("2", tmp_path / "2")
        found = json.loads(run("snapshot_diff", "1", "2", "--json", "--ids"))
        assert found["trees"] == {"added": 1, "changed": 2}
        messages = found["messages"]
        assert (messages["added"], messages["withdrawn"], messages["removed"], messages["text"]) == (4, 1, 1, 1)
        assert found["ids"]["messages"]["withdrawn"] == [pseudonym(first)]
        assert found["ids"]["messages"]["text"] == [pseudonym(second)]
        assert found["ids"]["trees"]["added"] == [pseudonym(added)]
        by_folder = json.loads(run("snapshot_diff", str(tmp_path / "1"), str(tmp_path / "2"), "--json", "--ids"))
        assert by_folder == found
        mixed = json.loads(run("snapshot_diff", str(tmp_path / "1"), "2", "--json", "--ids"))
        assert mixed == found
        assert "Messages: 4 added" in run("snapshot_diff", "1", "2")

    def test_a_decision_and_a_rank(self, finished: Message, tmp_path: Path) -> None:
        create("1", tmp_path / "1", "--include-rejected")
        first, second, _ = answers_of(finished)
        Message.objects.filter(pk=first.pk).update(review_result=False)
        Message.objects.filter(pk=second.pk).update(rank=7)
        create("2", tmp_path / "2", "--include-rejected")
        found = json.loads(run("snapshot_diff", "1", "2", "--json"))
        assert found["messages"] == {"decision": 1, "rank": 1}
        assert found["reviews"] == {} and found["trees"] == {"changed": 1}

    def test_no_difference(self, imported: None, tmp_path: Path) -> None:
        create("1", tmp_path / "1")
        create("2", tmp_path / "2")
        assert run("snapshot_diff", "1", "2").startswith("Trees: 1 unchanged.\nMessages: no difference.")

    def test_damaged_folders_and_unknown_names(self, imported: None, tmp_path: Path) -> None:
        create("1", tmp_path / "1")
        shutil.copytree(tmp_path / "1", tmp_path / "2")
        path = tmp_path / "2" / "trees/train.jsonl.zst"
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(CommandError, match=r"was changed\. snapshot_verify says more"):
            run("snapshot_diff", str(tmp_path / "1"), str(tmp_path / "2"))
        with pytest.raises(CommandError, match="no snapshot '3'"):
            run("snapshot_diff", "1", "3")


class TestCosts:
    def test_each_batch_costs_the_same_few_statements(
        self, finished: Message, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = tmp_path / "in.jsonl"
        path.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:20]))
        bring_file(path)
        numbers = []
        for batch in (30, 3):
            monkeypatch.setattr(batches, "BATCH", batch)
            monkeypatch.setattr(frozen, "BATCH", batch)
            with CaptureQueriesContext(connection) as captured:
                create(f"by-{batch}", tmp_path / str(batch), "--include-synthetic")
            numbers.append(len(captured))
        more = 21 // 3 - 1
        assert numbers[1] - numbers[0] <= more * 11, numbers
        assert numbers[0] <= 46, numbers

    def test_a_batch_is_bounded_in_bytes_too(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Large texts, and large facts of a file beside small texts: what is fetched at once stays small."""
        trees: list[Any] = [conversation() for _ in range(12)]
        for number, tree in enumerate(trees):
            about = tree["prompt"]
            about["created_date"] = "2026-01-01"
            if number % 3 == 0:
                about["text"] = f"{number} " * 5_000
            elif number % 3 == 1:
                about["more"] = ["fact"] * 2_000
            else:
                about["emojis"] = {f"{number}-{name}": 1 for name in range(1000)}
        bring(tmp_path / "in.jsonl", *trees)
        sizes: list[int] = []

        class Counted(Batch):
            def __init__(self, trees: Any, *others: Any) -> None:
                rows = Message.objects.filter(tree__in=trees).values_list("text", "imported", "emojis")
                sizes.append(sum(len(json.dumps(row)) for row in rows))
                super().__init__(trees, *others)

        monkeypatch.setattr(freezing, "Batch", Counted)
        folders = []
        for limit in (batches.BATCH_BYTES, 60_000):
            monkeypatch.setattr(batches, "BATCH_BYTES", limit)
            monkeypatch.setattr(frozen, "BATCH_BYTES", limit // 100)  # compressed
            sizes.clear()
            with CaptureQueriesContext(connection) as captured:
                create(f"to-{limit}", tmp_path / str(limit), "--cutoff", "2026-06-01")
            reads = [one["sql"] for one in captured if 'AS "upto"' in one["sql"]]
            assert max(sizes) < limit
            assert limit == 60_000 or (len(sizes) == 1 and len(reads) <= len(SPLITS))
            folders.append({path: one for path, one in digests(tmp_path / str(limit)).items() if path.startswith("t")})
        assert 1 < len(sizes) < 12 and len(reads) > len(SPLITS)
        assert folders[0] == folders[1]

    def test_a_tree_deeper_than_the_encoder(self, tmp_path: Path) -> None:
        line: Any = conversation(answers=0)
        node = line["prompt"]
        for number in range(240):
            reply = conversation(answers=0)["prompt"]
            reply |= {"parent_id": node["message_id"], "role": ("assistant", "prompter")[number % 2]}  # type: ignore[operator]
            node["replies"] = [reply]
            node = reply
        bring(tmp_path / "in.jsonl", line)
        create("deep", tmp_path / "out")
        assert manifest_of(tmp_path / "out")["counts"]["messages"] == 241
        assert "is complete and unchanged" in run("snapshot_verify", str(tmp_path / "out"))


class TestFreezing:
    def test_a_rival_that_freezes_is_named(self, imported: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(freezing, "try_advisory_lock", lambda *name: False)
        with pytest.raises(Conflict) as refused:
            freezing.freeze("2026.1", filters=Filters(), pseudonyms=snapshot_pseudonyms())
        assert refused.value.code == "snapshot_busy"
        with pytest.raises(CommandError, match="being frozen"):
            run("snapshot_retract", "2026.1", "--reason", "Why not.")

    def test_judgments_of_an_earlier_text_stay_out(self, finished: Message, mo: User, tmp_path: Path) -> None:
        answer = answers_of(finished)[0]
        moderator_actions.edit_message(
            message_id=answer.pk, actor=mo, text="Edited words.", reason="Typo.", policy=SMALL
        )
        create("2026.1", tmp_path / "out", "--state", "all", "--include-rejected")
        assert manifest_of(tmp_path / "out")["left_out"]["reviews"]["about_an_earlier_text"] >= 1
        about = [row for row in rows_of(tmp_path / "out", "review_events") if row["message_id"] == pseudonym(answer)]
        assert about == []
        orders = [row["ranked_message_ids"] for row in rows_of(tmp_path / "out", "ranking_events")]
        assert orders and all(len(order) == 2 and pseudonym(answer) not in order for order in orders)

    def test_a_ranking_of_earlier_texts_stays_out(self, finished: Message, mo: User, tmp_path: Path) -> None:
        for answer in answers_of(finished)[:2]:
            moderator_actions.edit_message(
                message_id=answer.pk, actor=mo, text=f"Edited {answer.pk}.", reason="Typo.", policy=SMALL
            )
        create("2026.1", tmp_path / "out", "--state", "all", "--include-rejected")
        rankings = Ranking.objects.filter(parent=finished).count()
        assert rankings and manifest_of(tmp_path / "out")["left_out"]["rankings"] == {"about_an_earlier_text": rankings}


class TestCard:
    def test_it_stays_when_a_later_release_words_it_differently(
        self, imported: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        create("2026.1", tmp_path / "first")
        assert "2026.1" in (tmp_path / "first" / "README.md").read_text()
        monkeypatch.setattr(snapshot_folder, "card_files", lambda manifest, figures: {"README.md": b"New words"})
        create("2026.1", tmp_path / "second")
        assert digests(tmp_path / "first") == digests(tmp_path / "second")
        create("2026.2", tmp_path / "third")
        assert (tmp_path / "third" / "README.md").read_text() == "New words"

    def test_it_names_a_public_site(self, imported: None, settings: Any, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "1")
        settings.IS_LOCAL, settings.PUBLIC_URL = False, "https://oasst.example.org"
        create("2026.2", tmp_path / "2")
        assert [manifest_of(tmp_path / one)["site_url"] for one in "12"] == ["", "https://oasst.example.org"]


class TestAdmin:
    def test_moderators_see_what_was_published(self, finished: Message, mo: User, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "out")
        client = Client()
        client.force_login(mo)
        page = client.get(reverse("admin:trees_snapshot_change", args=[Snapshot.objects.get().pk])).text
        assert "terms 2: 4" in page and "data/messages/train.parquet" in page
        numbers = []
        for number in range(3):
            address = reverse("admin:trees_snapshot_changelist")
            client.get(address)
            with CaptureQueriesContext(connection) as captured:
                assert "2026.1" in client.get(address).text
            numbers.append(len(captured))
            Snapshot.objects.create(name=f"more-{number}", format_version=1, cutoff=timezone.now(), counts={})
        assert len(set(numbers)) == 1
