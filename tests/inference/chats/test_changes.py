"""Titles, deleting and restoring, the branch that the page shows."""

import pytest

from inference.chats import changes, deletion, titles
from inference.models import Chat
from inference.turns.states import FINISHED
from oasst.accounts.models import User
from oasst.core.errors import Invalid, NotFound
from tests.inference.talking import POLICY, ask, fresh

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]


class TestChats:
    def test_a_title_that_a_person_gave_stays(self, alice: User) -> None:
        turn = ask(alice)
        changes.rename(user=alice, chat_id=turn.message.chat_id, title="  My  bread ", policy=POLICY)
        titles.store_title(turn.message.chat_id, "Better")
        assert Chat.objects.get().title == "My bread"
        with pytest.raises(Invalid):
            changes.rename(user=alice, chat_id=turn.message.chat_id, title="x" * 101, policy=POLICY)

    def test_deleting_stops_what_is_written_and_can_be_undone(self, alice: User) -> None:
        turn = ask(alice)
        chat_id = turn.message.chat_id
        deletion.delete_chat(user=alice, chat_id=chat_id)
        assert fresh(turn).state in FINISHED
        with pytest.raises(NotFound):
            changes.rename(user=alice, chat_id=chat_id, title="Gone", policy=POLICY)
        deletion.undelete_chat(user=alice, chat_id=chat_id)
        changes.change_chat(user=alice, chat_id=chat_id, values={"hidden": True}, policy=POLICY)
        changes.change_chat(user=alice, chat_id=chat_id, values={"allow_data_use": False}, policy=POLICY)
        chat = Chat.objects.get()
        assert (chat.deleted_at, chat.hidden, chat.allow_data_use) == (None, True, False)

    def test_the_branch_that_is_looked_at(self, alice: User) -> None:
        turn, other = ask(alice), ask(alice)
        chat_id, tail = turn.message.chat_id, turn.message.parent_id
        changes.change_chat(user=alice, chat_id=chat_id, values={}, policy=POLICY, active_tail=tail)
        assert fresh(turn).message.chat.active_tail_id == turn.message.parent_id
        with pytest.raises(NotFound):
            changes.change_chat(user=alice, chat_id=chat_id, values={}, policy=POLICY, active_tail=other.pk)

    @pytest.mark.parametrize(
        ("text", "title"),
        [("\n\n  Hi \nthere", "Hi"), ("word " * 30, "word " * 11 + "word…"), ("x" * 90, "x" * 59 + "…")],
    )
    def test_first_lines(self, text: str, title: str) -> None:
        assert titles.first_line(text) == title
