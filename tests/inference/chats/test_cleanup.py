"""What is removed for good, and what stays."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from inference.chats import asking, cleanup, deletion, feedback, moderation
from inference.models import Chat, ChatMessage, Preset, Turn
from inference.turns.states import TurnState
from oasst.accounts import closing
from oasst.accounts.models import User
from oasst.core.errors import NotFound
from oasst.site.purging import continue_purge, process_due_purges, start_purge
from tests.inference.talking import POLICY, answered, ask, fresh
from trees.lifecycle.policy import TreePolicy
from trees.models import Purge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_on")]
HELLO = [{"role": "user", "content": "Hi"}]


def ago(**how_long: int) -> Any:
    return timezone.now() - timedelta(**how_long)


def delete(turn: Turn, when: Any) -> None:
    deletion.delete_chat(user=turn.user, chat_id=turn.message.chat_id)
    Chat.objects.filter(pk=turn.message.chat_id).update(deleted_at=when)


def test_deleted_chats_go_after_thirty_days(alice: User) -> None:
    old, recent, kept = (answered(ask(alice)) for _ in range(3))
    delete(old, ago(days=30, minutes=1))
    delete(recent, ago(days=29))
    assert cleanup.remove_due_chats(POLICY) == 1
    assert set(Turn.objects.values_list("pk", flat=True)) == {recent.pk, kept.pk}
    assert ChatMessage.objects.count() == 4
    assert cleanup.remove_due_chats(POLICY) == 0


def test_a_report_that_waits_keeps_its_chat(alice: User, mo: User) -> None:
    turn = answered(ask(alice))
    report = feedback.report(user=alice, message_id=turn.pk, kind="spam", reason="Advertises.")
    delete(turn, ago(days=40))
    assert cleanup.remove_due_chats(POLICY) == 0
    moderation.resolve_report(report_id=report.pk, actor=mo, outcome="It does.")
    assert cleanup.remove_due_chats(POLICY) == 1
    assert not Chat.objects.exists()


def test_what_programs_asked_goes_after_an_hour_when_it_is_answered(alice: User) -> None:
    done, waiting = (asking.complete(user=alice, messages=HELLO, policy=POLICY) for _ in range(2))
    answered(done)
    Chat.objects.update(deleted_at=ago(minutes=59))
    assert cleanup.remove_due_chats(POLICY) == 0
    Chat.objects.update(deleted_at=ago(minutes=61))
    assert cleanup.remove_due_chats(POLICY) == 1
    assert Turn.objects.get().pk == waiting.pk


def test_what_programs_asked_is_in_nobodys_reach(alice: User, client: Client) -> None:
    turn = answered(asking.complete(user=alice, messages=HELLO, policy=POLICY))
    for act in (
        lambda: deletion.undelete_chat(user=alice, chat_id=turn.message.chat_id),
        lambda: asking.stop_turn(user=alice, message_id=turn.pk),
        lambda: feedback.vote(user=alice, message_id=turn.pk, score=1),
    ):
        with pytest.raises(NotFound):
            act()
    assert Chat.objects.get().deleted_at is not None


def test_many_at_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "BATCH_SIZE", 2)
    for _ in range(5):
        answered(asking.complete(user=alice, messages=HELLO, policy=POLICY))
    Chat.objects.update(deleted_at=ago(days=1))
    assert cleanup.remove_due_chats(POLICY) == 5
    assert not Chat.objects.exists() and not ChatMessage.objects.exists()


def test_who_leaves_takes_their_chats_along(alice: User, bob: User) -> None:
    answered(ask(alice))
    theirs = answered(ask(bob))
    waiting = ask(alice)
    Preset.objects.create(user=alice, name="Mine")
    closing.close_account(alice)
    assert cleanup.remove_due_chats(POLICY) == 2
    assert not Turn.objects.filter(pk=waiting.pk).exists() and not Preset.objects.exists()
    assert fresh(theirs).state == TurnState.COMPLETE and Chat.objects.get().user == bob


def test_a_purge_takes_them_when_it_is_final(alice: User, bob: User, mo: User) -> None:
    answered(ask(alice))
    answered(ask(bob))
    purge = start_purge(user=alice, actor=mo, reason="Spam")
    continue_purge(purge_id=purge.pk, policy=TreePolicy())
    assert Chat.objects.count() == 2, "it may be undone"
    Purge.objects.update(finished_at=ago(days=31))
    process_due_purges(policy=TreePolicy())
    assert Chat.objects.get().user == bob
