"""Questions, answers, refusals and stopping."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from inference.chats import asking, changes, deletion, feedback
from inference.engine.sampling import MAX_SEED
from inference.models import Chat, ChatMessage, Turn, Vote
from inference.policy import ChatPolicy
from inference.turns import lifecycle
from inference.turns.states import TurnState
from oasst.accounts.models import User
from oasst.core.errors import Busy, Conflict, DomainError, Invalid, NotAllowed, NotFound
from tests.concurrency.together import at_once
from tests.factories import new_people
from tests.inference.talking import POLICY, answered, ask, complete, content, fresh, new_chat, set_instructions

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]


def stored() -> tuple[int, int, int]:
    return Chat.objects.count(), ChatMessage.objects.count(), Turn.objects.count()


class TestAsking:
    def test_it_works(self, alice: User) -> None:
        turn = ask(alice, "How do I bake bread?\nI have flour.", temperature=0.5, max_tokens=None)
        assert (turn.state, turn.model) == (TurnState.PENDING, "tiny")
        assert turn.sampling["temperature"] == 0.5 and 0 <= turn.sampling["seed"] <= MAX_SEED
        chat = turn.message.chat
        assert (chat.title, chat.titled_by) == ("How do I bake bread?", Chat.TitledBy.FIRST_LINE)
        assert chat.active_tail == turn.message
        assert turn.message.parent is not None
        assert turn.message.parent.content == "How do I bake bread?\nI have flour."

    def test_the_conversation_goes_on(self, alice: User) -> None:
        first = answered(ask(alice))
        before = Chat.objects.get().modified_at
        second = asking.start_turn(
            user=alice, chat_id=first.message.chat_id, text="And then?", policy=POLICY, parent_id=first.pk
        )
        assert second.message.parent is not None and second.message.parent.parent_id == first.pk
        assert Chat.objects.get().modified_at > before
        assert Chat.objects.get().title == "Tell me something"

    def test_an_answer_cut_by_its_person_can_be_replied_to(self, alice: User) -> None:
        turn = ask(alice)
        asking.stop_turn(user=alice, message_id=turn.pk)
        asking.start_turn(user=alice, chat_id=turn.message.chat_id, text="Go on", policy=POLICY, parent_id=turn.pk)

    def test_editing_makes_a_branch_even_of_the_first_message(self, alice: User) -> None:
        first = answered(ask(alice, "Helo"))
        edited = asking.start_turn(user=alice, chat_id=first.message.chat_id, text="Hello", policy=POLICY)
        assert edited.message.parent is not None and edited.message.parent.parent is None
        assert Chat.objects.get().messages.filter(parent=None).count() == 2

    def test_another_answer_beside_the_first(self, alice: User) -> None:
        first = answered(ask(alice))
        assert first.message.parent_id
        again = asking.answer_again(user=alice, message_id=first.message.parent_id, policy=POLICY)
        assert again.message.parent_id == first.message.parent_id
        assert again.sampling["seed"] != first.sampling["seed"]
        assert Chat.objects.get().active_tail_id == again.pk

    def test_instructions_reach_the_model(self, alice: User) -> None:
        chat = new_chat(alice, system_prompt="Be brief.", user_profile="I am a baker.")
        turn = asking.start_turn(user=alice, chat_id=chat.pk, text="Hi", policy=POLICY)
        assert turn.system_prompt.startswith("Be brief.") and turn.system_prompt.endswith("I am a baker.")
        set_instructions(alice, chat.pk, "")
        assert fresh(turn).system_prompt.startswith("Be brief."), "as it was when it was asked"

    def test_asking_anew_cancels_what_waits_in_this_chat_but_no_drafts(self, alice: User) -> None:
        first, elsewhere = ask(alice), ask(alice)
        assert first.message.parent_id
        draft = asking.answer_again(user=alice, message_id=first.message.parent_id, policy=POLICY)
        assert {fresh(first).state, fresh(draft).state} == {TurnState.PENDING}
        asking.start_turn(user=alice, chat_id=first.message.chat_id, text="No, this", policy=POLICY)
        assert {fresh(first).state, fresh(draft).state} == {TurnState.CANCELLED}
        assert fresh(elsewhere).state == TurnState.PENDING


class TestRefused:
    """And nothing is stored."""

    @pytest.mark.parametrize(
        ("change", "error", "code"),
        [
            ({"text": " \n"}, Invalid, "blank"),
            ({"text": "x" * 20_001}, Invalid, "too_long"),
            ({"model": "gpt-9"}, Invalid, "unknown_model"),
            ({"chosen": {"temperature": -1}}, Invalid, "bad_setting"),
            ({"chosen": {"stop": ["x"] * 10_000}}, Invalid, "bad_setting"),
            ({"chosen": {"nonsense": 1}}, Invalid, "bad_setting"),
            ({"chosen": {"seed": "x"}}, Invalid, "bad_setting"),
        ],
    )
    def test_bad_input(self, alice: User, change: dict[str, object], error: type[DomainError], code: str) -> None:
        chat = new_chat(alice)
        before = stored()
        with pytest.raises(error) as refused:
            asking.start_turn(**{"user": alice, "chat_id": chat.pk, "text": "Hi", "policy": POLICY, **change})  # type: ignore[arg-type]
        assert refused.value.code == code
        assert stored() == before
        assert Chat.objects.get().title == ""

    def test_wrong_parents(self, alice: User, bob: User) -> None:
        waiting, foreign = ask(alice), ask(bob)
        before = stored()
        for parent, code in [
            (waiting.pk, "not_answerable"),
            (waiting.message.parent_id, "not_answerable"),
            (foreign.pk, "message_not_found"),
        ]:
            with pytest.raises(DomainError) as refused:
                asking.start_turn(
                    user=alice, chat_id=waiting.message.chat_id, text="Hi", policy=POLICY, parent_id=parent
                )
            assert refused.value.code == code
        assert stored() == before

    def test_chats_of_others_do_not_exist(self, alice: User, eve: User) -> None:
        turn = ask(alice)
        chat_id, message_id = turn.message.chat_id, turn.pk
        before = stored()
        for act in (
            lambda: asking.start_turn(user=eve, chat_id=chat_id, text="Hi", policy=POLICY),
            lambda: asking.answer_again(user=eve, message_id=message_id, policy=POLICY),
            lambda: asking.stop_turn(user=eve, message_id=message_id),
            lambda: changes.rename(user=eve, chat_id=chat_id, title="Mine", policy=POLICY),
            lambda: deletion.delete_chat(user=eve, chat_id=chat_id),
            lambda: deletion.undelete_chat(user=eve, chat_id=chat_id),
            lambda: feedback.vote(user=eve, message_id=message_id, score=1),
            lambda: feedback.report(user=eve, message_id=message_id, kind="spam", reason="x"),
        ):
            with pytest.raises(NotFound):
                act()
        assert stored() == before
        assert fresh(turn).state == TurnState.PENDING and Vote.objects.count() == 0

    def test_a_full_queue(self, alice: User, bob: User) -> None:
        small = ChatPolicy(queue_limit=2)
        ask(alice), ask(alice)
        chat = new_chat(bob)
        before = stored()
        with pytest.raises(Busy) as refused:
            asking.start_turn(user=bob, chat_id=chat.pk, text="Hi", policy=small)
        assert (refused.value.code, refused.value.details["queue_length"]) == ("queue_full", 2)
        assert 1 <= refused.value.retry_after <= 60
        assert stored() == before

    def test_one_person_can_not_fill_the_queue(self, alice: User, bob: User, carol: User) -> None:
        """A user may have as many waiting turns as the queue has free positions; newcomers always find one."""
        small = replace(POLICY, queue_limit=6)

        def fill(person: User) -> int:
            for number in range(10):
                try:
                    ask(person, policy=small)
                except Busy as refused:
                    assert refused.code in ("too_many_turns", "queue_full") and 1 <= refused.retry_after <= 60
                    return number
            raise AssertionError("no end")

        assert (fill(alice), fill(bob), fill(carol)) == (3, 2, 1)

    def test_a_batch_shuts_nobody_out_of_their_own_pages(self, alice: User) -> None:
        small = replace(POLICY, queue_limit=6)
        for _ in range(3):
            complete(alice, policy=small)
        with pytest.raises(Busy):
            complete(alice, policy=small)
        asked = ask(alice, policy=small)
        (claimed,) = lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)
        assert claimed.pk == asked.pk, "and the person is answered before their program"

    def test_nor_does_one_through_another_door(self, alice: User) -> None:
        """Like `/inference`: with a chat and a message of the user."""
        small = replace(POLICY, queue_limit=6)
        chat = new_chat(alice)
        said = asking.post_message(user=alice, chat_id=chat.pk, text="Hi", policy=POLICY, parent_id=None)

        def again() -> Turn:
            return asking.answer_again(user=alice, message_id=said.pk, policy=small, by_program=True)

        for _ in range(3):
            assert again().by_program
        with pytest.raises(Busy):
            again()
        asked = ask(alice, policy=small)
        assert not asked.by_program
        (claimed,) = lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)
        assert claimed.pk == asked.pk

    @pytest.mark.parametrize("door", ["program", "answer", "page", "new chat"])
    def test_refused_questions_use_up_nothing(self, alice: User, settings: Any, door: str) -> None:
        settings.RATE_LIMITS = True
        settings.LIMITS = {"chat_turn": "2 per hour", "chat_turn_program": "2 per hour"}
        full = replace(POLICY, queue_limit=0)
        chat = new_chat(alice)
        said = asking.post_message(user=alice, chat_id=chat.pk, text="Hi", policy=POLICY, parent_id=None)
        doors: dict[str, Callable[[ChatPolicy], Turn]] = {
            "program": lambda policy: complete(alice, policy),
            "answer": lambda policy: asking.answer_again(user=alice, message_id=said.pk, policy=policy),
            "page": lambda policy: asking.start_turn(user=alice, chat_id=chat.pk, text="Hi", policy=policy),
            "new chat": lambda policy: asking.start_chat(user=alice, text="Hi", policy=policy),
        }
        for _ in range(5):
            with pytest.raises(Busy, match="Too many people are waiting"):
                doors[door](full)
        assert [doors[door](POLICY).state for _ in range(2)] == [TurnState.PENDING] * 2
        for policy in (POLICY, full):
            with pytest.raises(Busy, match="Too many questions"):
                doors[door](policy)

    def test_when_to_come_back(self, alice: User) -> None:
        """Never within a second, and later for a user with many waiting turns."""
        small = replace(POLICY, queue_limit=20)

        def told(person: User) -> int:
            while True:
                try:
                    ask(person, policy=small)
                except Busy as refused:
                    return refused.retry_after

        answered(ask(alice))
        began = timezone.now()
        Turn.objects.update(began_at=began, ended_at=began + timedelta(milliseconds=100))
        assert told(alice) == 5
        Turn.objects.filter(state=TurnState.COMPLETE).update(ended_at=began + timedelta(seconds=20))
        assert told(alice) == 20, "the first of hers is the next one"
        for person in new_people(3):
            ask(person)
        lifecycle.claim(owner="one", model="tiny", number=2, policy=POLICY)
        assert told(alice) == 30, "two others come before her second, and two are answered at once"

    def test_a_full_chat(self, alice: User) -> None:
        turn = ask(alice)
        with pytest.raises(Conflict) as refused:
            asking.start_turn(
                user=alice, chat_id=turn.message.chat_id, text="Hi", policy=ChatPolicy(messages_in_chat=2)
            )
        assert refused.value.code == "chat_full"

    def test_switched_off(self, alice: User, settings: object) -> None:
        settings.OASST_CHAT_MODEL = "none"  # type: ignore[attr-defined]
        with pytest.raises(Conflict) as refused:
            ask(alice)
        assert refused.value.code == "chat_off"

    def test_suspended_people(self, alice: User) -> None:
        alice.enabled = False
        alice.save()
        with pytest.raises(NotAllowed):
            ask(alice)

    def test_twenty_questions_in_ten_minutes(self, alice: User, settings: object) -> None:
        settings.RATE_LIMITS = True  # type: ignore[attr-defined]
        for _ in range(20):
            asking.stop_turn(user=alice, message_id=ask(alice).pk)
        before = Turn.objects.count()
        with pytest.raises(Busy) as refused:
            ask(alice)
        assert refused.value.code == "rate_limited" and refused.value.retry_after > 0
        assert Turn.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_limits_hold_when_all_ask_at_once(alice: User) -> None:
    chats = [new_chat(alice) for _ in range(8)]
    small = replace(POLICY, queue_limit=6)
    results = at_once(
        [
            lambda chat=chat: asking.start_turn(user=alice, chat_id=chat.pk, text="Hi", policy=small)  # type: ignore[misc]
            for chat in chats
        ]
    )
    assert sum(isinstance(one, Turn) for one in results) == 3
    assert sum(isinstance(one, Busy) for one in results) == 5


class TestStopping:
    def test_one_that_waits_ends_at_once(self, alice: User) -> None:
        turn = ask(alice)
        asking.stop_turn(user=alice, message_id=turn.pk)
        assert fresh(turn).state == TurnState.STOPPED

    def test_one_that_has_ended_stays_as_it_is(self, alice: User) -> None:
        turn = answered(ask(alice))
        asking.stop_turn(user=alice, message_id=turn.pk)
        assert (fresh(turn).state, content(turn)) == (TurnState.COMPLETE, "An answer.")
