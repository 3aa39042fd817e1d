"""What people prefer in the chat becomes rows that a training reads, and does not leave the site."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inference.chats import feedback
from inference.engine import tiny
from inference.models import ChatReport, Vote
from inference.preferences import Preferred, preferred
from inference.training.base import Training
from inference.training.config import Dpo, Kto
from inference.training.errors import TrainingError
from inference.training.running import run
from inference.training.snapshot import open_snapshot
from oasst.accounts.models import User
from tests.factories import conversation, new_people
from tests.inference.battles.making import decided
from tests.trees.chats import SKY, answered_chat, answers, new_answer, questions
from tests.trees.interchange.test_snapshots import content
from trees import donations
from trees.interchange.snapshots import chats as frozen_chats
from trees.models import Snapshot, SnapshotChats
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
ASKED = ("Why do cats purr when they are content?", "Because they like it.")


@pytest.fixture(autouse=True)
def _site(settings: Any, tmp_path: Path) -> None:
    settings.RATE_LIMITS = False
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(conversation()) + "\n")
    call_command("import_trees", path, "--license", "CC0-1.0", stdout=StringIO())


def found() -> list[Preferred]:
    return list(preferred(timezone.now()))


def summary() -> list[tuple[str, str, str, bool | None]]:
    return [(one.source, one.chosen, one.rejected, one.good) for one in found()]


class TestSources:
    def test_thumbs(self, alice: User) -> None:
        chat = answered_chat(alice, ASKED)
        other = new_answer(questions(chat)[0], "They do not.")
        for answer, score in ((answers(chat)[0], 1), (other, -1)):
            feedback.vote(user=alice, message_id=answer.pk, score=score)
        assert summary() == [
            ("vote", "Because they like it.", "", True),
            ("vote", "They do not.", "", False),
            ("vote", "Because they like it.", "They do not.", None),
        ]
        (pair,) = [one for one in found() if one.good is None]
        assert pair.thread == [{"role": "user", "content": ASKED[0]}]
        assert (pair.chosen_model, pair.rejected_model, pair.user_id) == ("tiny", "tiny", alice.pk)

    def test_a_chosen_draft(self, alice: User) -> None:
        chat = answered_chat(alice, ASKED)
        better = new_answer(questions(chat)[0], "It calms them.")
        feedback.choose_draft(user=alice, message_id=better.pk, rejected_ids=[answers(chat)[0].pk])
        assert summary() == [("draft", "It calms them.", "Because they like it.", None)]

    def test_a_battle_but_no_check_and_no_tie(self, alice: User) -> None:
        decided(alice, "one", "two", "right", texts=("Left.", "Right."))
        decided(alice, "one", "two", "right", texts=("Left.", "Right."), noise="left")
        decided(alice, "one", "two", "both", texts=("Left.", "Right."))
        (pair,) = found()
        assert (pair.source, pair.chosen, pair.rejected) == ("battle", "Right.", "Left.")
        assert (pair.chosen_model, pair.rejected_model) == ("two", "one")

    def test_going_on_with_another_answer_is_a_weak_sign(self, alice: User) -> None:
        chat = answered_chat(alice, ASKED)
        question, first = questions(chat)[0], answers(chat)[0]
        again = new_answer(question, "It calms them.")
        assert summary() == []
        chat.messages.create(parent=again, role="prompter", content="And dogs?")
        assert summary() == [("regeneration", "It calms them.", "Because they like it.", None)]
        Vote.objects.create(message=first, user=alice, score=1)
        assert [one[0] for one in summary()] == ["vote"], "a thumb says more"

    def test_the_thread_before_it(self, alice: User) -> None:
        chat = answered_chat(alice, *SKY)
        Vote.objects.create(message=answers(chat)[1], user=alice, score=1)
        (one,) = found()
        assert [message["role"] for message in one.thread] == ["user", "assistant", "user"]
        ChatReport.objects.create(message=answers(chat)[0], user=alice, kind="spam", reason="Rude.")
        assert found() == [], "it follows an answer that is left out"


class TestConsent:
    def test_what_is_left_alone(self, alice: User, bob: User, people: Any) -> None:
        for fields in ({"allow_data_use": False}, {"hidden": True}, {"deleted_at": timezone.now()}, {"blind": True}):
            Vote.objects.create(message=answers(answered_chat(alice, ASKED, **fields))[0], user=alice, score=1)
        for change in ({"enabled": False}, {"is_active": False}, {"terms_version": ""}):
            person = people("Dora")
            Vote.objects.create(message=answers(answered_chat(person, ASKED))[0], user=person, score=1)
            User.objects.filter(pk=person.pk).update(**change)
        reported = answers(answered_chat(bob, ASKED))[0]
        Vote.objects.create(message=reported, user=bob, score=-1)
        ChatReport.objects.create(message=reported, user=bob, kind="spam", reason="Rude.")
        failed = answers(answered_chat(bob, ASKED))[0]
        failed.turn.state = "failed"
        failed.turn.save()
        Vote.objects.create(message=failed, user=bob, score=-1)
        assert found() == []

    def test_ten_times_the_chats_cost_the_same_statements(self, alice: User) -> None:
        def cost() -> int:
            with CaptureQueriesContext(connection) as asked:
                found()
            return len(asked)

        Vote.objects.create(message=answers(answered_chat(alice, ASKED))[0], user=alice, score=1)
        few = cost()
        for person in new_people(10):
            Vote.objects.create(message=answers(answered_chat(person, ASKED))[0], user=person, score=1)
        assert cost() == few <= 8


def create(name: str, folder: Path, **options: Any) -> Path:
    call_command("snapshot_create", name=name, output=folder / name, stdout=StringIO(), **options)
    return folder / name


def rows_of(folder: Path, form: str) -> list[dict[str, Any]]:
    files = sorted((folder / "data" / form).glob("*.jsonl.zst"))
    return [json.loads(line) for file in files for line in content(file).splitlines()]


def talk(person: User, number: int) -> None:
    """A chat with a good and a bad answer."""
    chat = answered_chat(person, (f"What is special about number {number}?", "It is even."))
    other = new_answer(questions(chat)[0], f"Write to tom.miller@wetter.de about {number}.")
    Vote.objects.create(message=answers(chat)[0], user=person, score=1)
    Vote.objects.create(message=other, user=person, score=-1)


class TestSnapshots:
    def test_rows_are_masked_and_frozen(self, alice: User, tmp_path: Path) -> None:
        talk(alice, 1)
        folder = create("with", tmp_path, include_chats=True)
        (pair,), kto = rows_of(folder, "chat_pairs"), rows_of(folder, "chat_kto")
        assert pair["rejected"] == [{"role": "assistant", "content": "Write to [e-mail address] about 1."}]
        assert pair["synthetic"] and pair["chosen_model"] == "tiny" and pair["source"] == "vote"
        assert str(alice.pk) not in json.dumps([pair, *kto]) and [row["label"] for row in kto] == [True, False]
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        Vote.objects.all().delete()
        again = create("with", tmp_path / "again", include_chats=True)
        assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()} == {
            path.relative_to(folder): data for path, data in before.items()
        }
        call_command("snapshot_verify", folder, stdout=StringIO())

    def test_what_was_given_is_a_tree_already(self, alice: User, tmp_path: Path) -> None:
        talk(alice, 1)
        chat = answered_chat(alice, ASKED)
        Vote.objects.create(message=answers(chat)[0], user=alice, score=1)
        about: dict[str, Any] = {"upto": None, "alone": False, "lang": "en", "policy": current_policy()}
        seen = donations.get_offer_for(alice, chat.pk, **about).digest
        donations.give(user=alice, chat_id=chat.pk, masked=[], seen=seen, **about)
        folder = create("with", tmp_path, include_chats=True)
        assert len(rows_of(folder, "chat_pairs")) == 1 and len(rows_of(folder, "chat_kto")) == 2

    def test_only_if_asked_for_and_never_published(self, alice: User, tmp_path: Path) -> None:
        talk(alice, 1)
        folder = create("without", tmp_path)
        assert not (folder / "data/chat_pairs").exists() and not SnapshotChats.objects.exists()
        create("with", tmp_path, include_chats=True)
        for command in ("snapshot_publish", "snapshot_push"):
            more = {"repo": "a/b"} if command == "snapshot_push" else {}
            with pytest.raises(CommandError, match="private chats"):
                call_command(command, "with", stdout=StringIO(), **more)
        with pytest.raises(CommandError, match="other options"):
            create("with", tmp_path)
        assert Snapshot.objects.get(name="with").published_at is None

    def test_changed_or_missing_rows_are_found(self, alice: User, tmp_path: Path) -> None:
        talk(alice, 1)
        create("with", tmp_path, include_chats=True)
        stored = SnapshotChats.objects.get()
        SnapshotChats.objects.update(content=b"torn")
        with pytest.raises(CommandError, match="were changed"):
            create("with", tmp_path / "again", include_chats=True)
        SnapshotChats.objects.update(content=frozen_chats.compress(b""), sha256=stored.sha256)
        with pytest.raises(CommandError, match="were changed"):
            create("with", tmp_path / "again", include_chats=True)
        SnapshotChats.objects.all().delete()
        with pytest.raises(CommandError, match="were changed"):
            create("with", tmp_path / "again", include_chats=True)

    def test_a_retracted_one_is_emptied(self, alice: User, tmp_path: Path) -> None:
        talk(alice, 1)
        create("with", tmp_path, include_chats=True)
        call_command("snapshot_retract", "with", reason="Somebody asked.", stdout=StringIO())
        assert not SnapshotChats.objects.exists()

    def test_dpo_and_kto_learn_from_them(self, alice: User, tmp_path: Path) -> None:
        tiny.make(tmp_path / "tiny")
        for number in range(12):
            talk(alice, number)
        snapshot = open_snapshot(create("with", tmp_path, include_chats=True))
        for method, config in (("dpo", Dpo(most_steps=2, max_length=128)), ("kto", Kto(most_steps=2, max_length=128))):
            training = Training(
                method,
                config.model_copy(update={"precision": "float32"}),
                tmp_path / "tiny",
                snapshot,
                tmp_path / method,
                threads=1,
                least_free_bytes=0,
            )
            assert run(training).funnels["train"]["rows"] >= 3  # some are in the other parts
            alone = config.model_copy(update={"chats": False})
            with pytest.raises(TrainingError) as error:
                run(replace(training, config=alone, folder=tmp_path / f"{method} of trees"))
            assert error.value.code in ("empty", "one_sided"), "the one tree has nothing to compare"
