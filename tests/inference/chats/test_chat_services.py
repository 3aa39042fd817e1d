"""Chats as their people use them: asking, editing, asking again, stopping, saying what they think of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from inference.chats import chat_services, titles
from inference.engine.sampling import LARGEST_SEED
from inference.models import Chat, ChatMessage, ChatReport, Turn, Vote
from inference.policy import ChatPolicy
from inference.turns import lifecycle
from inference.turns.states import FINISHED, TurnState
from oasst.accounts.models import User
from oasst.core.errors import Busy, Conflict, DomainError, Invalid, NotAllowed, NotFound
from tests.concurrency.together import at_once
from tests.factories import new_people
from tests.inference.talking import POLICY, ask, content, fresh

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]


def answered(turn: Turn, text: str = "An answer.") -> Turn:
    """As an engine would."""
    (claimed,) = lifecycle.claim(owner="test", model="tiny", number=1, policy=POLICY)
    assert claimed.pk == turn.pk
    progress = lifecycle.Progress(str(turn.pk), text, [1, 2, 3], 10, 0)
    assert lifecycle.finish(owner="test", progress=progress, ending=lifecycle.Ending(TurnState.COMPLETE, "eos_token"))
    return fresh(turn)


def complete(user: User, policy: ChatPolicy = POLICY) -> Turn:
    """As a program asks."""
    return chat_services.complete(user=user, messages=[{"role": "user", "content": "Hi"}], policy=policy)


def stored() -> tuple[int, int, int]:
    return Chat.objects.count(), ChatMessage.objects.count(), Turn.objects.count()


class TestAsking:
    def test_it_works(self, alice: User) -> None:
        turn = ask(alice, "How do I bake bread?\nI have flour.", temperature=0.5, max_tokens=None)
        assert (turn.state, turn.model) == (TurnState.PENDING, "tiny")
        assert turn.sampling["temperature"] == 0.5 and 0 <= turn.sampling["seed"] <= LARGEST_SEED
        room = turn.message.chat
        assert (room.title, room.titled_by) == ("How do I bake bread?", Chat.TitledBy.FIRST_LINE)
        assert room.active_tail == turn.message
        assert turn.message.parent is not None
        assert turn.message.parent.content == "How do I bake bread?\nI have flour."

    def test_the_conversation_goes_on(self, alice: User) -> None:
        first = answered(ask(alice))
        before = Chat.objects.get().modified_at
        second = chat_services.start_turn(
            user=alice, chat_id=first.message.chat_id, text="And then?", policy=POLICY, parent_id=first.pk
        )
        assert second.message.parent is not None and second.message.parent.parent_id == first.pk
        assert Chat.objects.get().modified_at > before
        assert Chat.objects.get().title == "Tell me something"

    def test_an_answer_cut_by_its_person_can_be_replied_to(self, alice: User) -> None:
        turn = ask(alice)
        chat_services.stop_turn(user=alice, message_id=turn.pk)
        chat_services.start_turn(
            user=alice, chat_id=turn.message.chat_id, text="Go on", policy=POLICY, parent_id=turn.pk
        )

    def test_editing_makes_a_branch_even_of_the_first_message(self, alice: User) -> None:
        first = answered(ask(alice, "Helo"))
        edited = chat_services.start_turn(user=alice, chat_id=first.message.chat_id, text="Hello", policy=POLICY)
        assert edited.message.parent is not None and edited.message.parent.parent is None
        assert Chat.objects.get().messages.filter(parent=None).count() == 2

    def test_another_answer_beside_the_first(self, alice: User) -> None:
        first = answered(ask(alice))
        assert first.message.parent_id
        again = chat_services.answer_again(user=alice, message_id=first.message.parent_id, policy=POLICY)
        assert again.message.parent_id == first.message.parent_id
        assert again.sampling["seed"] != first.sampling["seed"]
        assert Chat.objects.get().active_tail_id == again.pk

    def test_instructions_reach_the_model(self, alice: User) -> None:
        room = chat_services.create_chat(
            user=alice, policy=POLICY, system_prompt="Be brief.", user_profile="I am a baker."
        )
        turn = chat_services.start_turn(user=alice, chat_id=room.pk, text="Hi", policy=POLICY)
        assert turn.system_prompt.startswith("Be brief.") and turn.system_prompt.endswith("I am a baker.")
        chat_services.set_instructions(user=alice, chat_id=room.pk, policy=POLICY, system_prompt="")
        assert fresh(turn).system_prompt.startswith("Be brief."), "as it was when it was asked"

    def test_asking_anew_cancels_what_waits_in_this_chat_but_no_drafts(self, alice: User) -> None:
        first, elsewhere = ask(alice), ask(alice)
        assert first.message.parent_id
        draft = chat_services.answer_again(user=alice, message_id=first.message.parent_id, policy=POLICY)
        assert {fresh(first).state, fresh(draft).state} == {TurnState.PENDING}
        chat_services.start_turn(user=alice, chat_id=first.message.chat_id, text="No, this", policy=POLICY)
        assert {fresh(first).state, fresh(draft).state} == {TurnState.CANCELLED}
        assert fresh(elsewhere).state == TurnState.PENDING


class TestRefused:
    """And nothing is stored, not even half."""

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
        room = chat_services.create_chat(user=alice, policy=POLICY)
        before = stored()
        with pytest.raises(error) as refused:
            chat_services.start_turn(**{"user": alice, "chat_id": room.pk, "text": "Hi", "policy": POLICY, **change})  # type: ignore[arg-type]
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
                chat_services.start_turn(
                    user=alice, chat_id=waiting.message.chat_id, text="Hi", policy=POLICY, parent_id=parent
                )
            assert refused.value.code == code
        assert stored() == before

    def test_chats_of_others_do_not_exist(self, alice: User, eve: User) -> None:
        turn = ask(alice)
        chat_id, message_id = turn.message.chat_id, turn.pk
        before = stored()
        for act in (
            lambda: chat_services.start_turn(user=eve, chat_id=chat_id, text="Hi", policy=POLICY),
            lambda: chat_services.answer_again(user=eve, message_id=message_id, policy=POLICY),
            lambda: chat_services.stop_turn(user=eve, message_id=message_id),
            lambda: chat_services.rename(user=eve, chat_id=chat_id, title="Mine", policy=POLICY),
            lambda: chat_services.delete_chat(user=eve, chat_id=chat_id),
            lambda: chat_services.undelete_chat(user=eve, chat_id=chat_id),
            lambda: chat_services.vote(user=eve, message_id=message_id, score=1),
            lambda: chat_services.report(user=eve, message_id=message_id, kind="spam", reason="x"),
        ):
            with pytest.raises(NotFound):
                act()
        assert stored() == before
        assert fresh(turn).state == TurnState.PENDING and Vote.objects.count() == 0

    def test_a_full_queue(self, alice: User, bob: User) -> None:
        small = ChatPolicy(queue_limit=2)
        ask(alice), ask(alice)
        room = chat_services.create_chat(user=bob, policy=POLICY)
        before = stored()
        with pytest.raises(Busy) as refused:
            chat_services.start_turn(user=bob, chat_id=room.pk, text="Hi", policy=small)
        assert (refused.value.code, refused.value.details["queue_length"]) == ("queue_full", 2)
        assert 1 <= refused.value.retry_after <= 60
        assert stored() == before

    def test_one_person_can_not_fill_the_queue(self, alice: User, bob: User, carol: User) -> None:
        """Who waits with as many turns as there are free places waits with enough; newcomers find room."""
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
        """As `/inference` asks: with a chat and a message of the person's own."""
        small = replace(POLICY, queue_limit=6)
        room = chat_services.create_chat(user=alice, policy=POLICY)
        said = chat_services.post_message(user=alice, chat_id=room.pk, text="Hi", policy=POLICY, parent_id=None)

        def again() -> Turn:
            return chat_services.answer_again(user=alice, message_id=said.pk, policy=small, by_program=True)

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
        room = chat_services.create_chat(user=alice, policy=POLICY)
        said = chat_services.post_message(user=alice, chat_id=room.pk, text="Hi", policy=POLICY, parent_id=None)
        doors: dict[str, Callable[[ChatPolicy], Turn]] = {
            "program": lambda policy: complete(alice, policy),
            "answer": lambda policy: chat_services.answer_again(user=alice, message_id=said.pk, policy=policy),
            "page": lambda policy: chat_services.start_turn(user=alice, chat_id=room.pk, text="Hi", policy=policy),
            "new chat": lambda policy: chat_services.begin_chat(user=alice, text="Hi", policy=policy),
        }
        for _ in range(5):
            with pytest.raises(Busy, match="Too many people are waiting"):
                doors[door](full)
        assert [doors[door](POLICY).state for _ in range(2)] == [TurnState.PENDING] * 2
        for policy in (POLICY, full):
            with pytest.raises(Busy, match="Too many questions"):
                doors[door](policy)

    def test_when_to_come_back(self, alice: User) -> None:
        """Not in a second, however short the last answers were; later for who waits behind many."""
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
            chat_services.start_turn(
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
            chat_services.stop_turn(user=alice, message_id=ask(alice).pk)
        before = Turn.objects.count()
        with pytest.raises(Busy) as refused:
            ask(alice)
        assert refused.value.code == "rate_limited" and refused.value.retry_after > 0
        assert Turn.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_limits_hold_when_all_ask_at_once(alice: User) -> None:
    rooms = [chat_services.create_chat(user=alice, policy=POLICY) for _ in range(8)]
    small = replace(POLICY, queue_limit=6)
    results = at_once(
        [
            lambda room=room: chat_services.start_turn(user=alice, chat_id=room.pk, text="Hi", policy=small)  # type: ignore[misc]
            for room in rooms
        ]
    )
    assert sum(isinstance(one, Turn) for one in results) == 3
    assert sum(isinstance(one, Busy) for one in results) == 5


class TestStopping:
    def test_one_that_waits_ends_at_once(self, alice: User) -> None:
        turn = ask(alice)
        chat_services.stop_turn(user=alice, message_id=turn.pk)
        assert fresh(turn).state == TurnState.STOPPED

    def test_one_that_has_ended_stays_as_it_is(self, alice: User) -> None:
        turn = answered(ask(alice))
        chat_services.stop_turn(user=alice, message_id=turn.pk)
        assert (fresh(turn).state, content(turn)) == (TurnState.COMPLETE, "An answer.")


class TestChats:
    def test_a_title_that_a_person_gave_stays(self, alice: User) -> None:
        turn = ask(alice)
        chat_services.rename(user=alice, chat_id=turn.message.chat_id, title="  My  bread ", policy=POLICY)
        titles.store(turn.message.chat_id, "Better")
        assert Chat.objects.get().title == "My bread"
        with pytest.raises(Invalid):
            chat_services.rename(user=alice, chat_id=turn.message.chat_id, title="x" * 101, policy=POLICY)

    def test_deleting_stops_what_is_written_and_can_be_undone(self, alice: User) -> None:
        turn = ask(alice)
        chat_id = turn.message.chat_id
        chat_services.delete_chat(user=alice, chat_id=chat_id)
        assert fresh(turn).state in FINISHED
        with pytest.raises(NotFound):
            chat_services.rename(user=alice, chat_id=chat_id, title="Gone", policy=POLICY)
        chat_services.undelete_chat(user=alice, chat_id=chat_id)
        chat_services.hide(user=alice, chat_id=chat_id, hidden=True)
        chat_services.allow_data_use(user=alice, chat_id=chat_id, allowed=False)
        room = Chat.objects.get()
        assert (room.deleted_at, room.hidden, room.allow_data_use) == (None, True, False)

    def test_the_branch_that_is_looked_at(self, alice: User) -> None:
        turn, other = ask(alice), ask(alice)
        chat_services.look_at(user=alice, chat_id=turn.message.chat_id, message_id=turn.message.parent_id)  # type: ignore[arg-type]
        assert fresh(turn).message.chat.active_tail_id == turn.message.parent_id
        with pytest.raises(NotFound):
            chat_services.look_at(user=alice, chat_id=turn.message.chat_id, message_id=other.pk)

    @pytest.mark.parametrize(
        ("text", "title"),
        [("\n\n  Hi \nthere", "Hi"), ("word " * 30, "word " * 11 + "word…"), ("x" * 90, "x" * 59 + "…")],
    )
    def test_first_lines(self, text: str, title: str) -> None:
        assert titles.first_line(text) == title


class TestFeedback:
    def test_votes(self, alice: User) -> None:
        turn = answered(ask(alice))
        for score in (1, 1, -1):
            chat_services.vote(user=alice, message_id=turn.pk, score=score)
        assert list(Vote.objects.values_list("score", flat=True)) == [-1]
        chat_services.vote(user=alice, message_id=turn.pk, score=0)
        assert not Vote.objects.exists()
        with pytest.raises(Invalid):
            chat_services.vote(user=alice, message_id=turn.pk, score=2)
        with pytest.raises(Invalid):
            chat_services.vote(user=alice, message_id=turn.message.parent_id, score=1)  # type: ignore[arg-type]
        assert not Vote.objects.exists()

    def test_reports(self, alice: User) -> None:
        turn = answered(ask(alice))
        chat_services.report(user=alice, message_id=turn.pk, kind="offensive", reason="It swears.")
        for kind, reason in (("rude", "x"), ("spam", " ")):
            with pytest.raises(Invalid):
                chat_services.report(user=alice, message_id=turn.pk, kind=kind, reason=reason)
        assert ChatReport.objects.filter(resolved_at=None).count() == 1


class TestQueue:
    """Round-robin over people: the first of everybody comes before the second of anybody."""

    def test_order_and_places(self, alice: User, bob: User, carol: User) -> None:
        a1, a2, a3 = ask(alice), ask(alice), ask(alice)
        b1, c1 = ask(bob), ask(carol)
        b2 = ask(bob)
        expected = [a1, b1, c1, a2, b2, a3]
        places = [chat_services.queries.find_place(turn.pk) for turn in expected]
        assert [place and place.position for place in places] == [1, 2, 3, 4, 5, 6]
        got = [lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)[0].pk for _ in expected]
        assert got == [turn.pk for turn in expected]
        assert chat_services.queries.find_place(a1.pk) is None

    def test_what_is_being_answered_counts(self, alice: User, bob: User) -> None:
        ask(alice)
        lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)
        a2, b1 = ask(alice), ask(bob)
        claimed = lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)
        assert [one.pk for one in claimed] == [b1.pk]
        assert fresh(a2).state == TurnState.PENDING

    def test_what_is_beyond_the_answers_at_once_stays_in_the_queue(self, alice: User, bob: User) -> None:
        two = replace(POLICY, answers_at_once=2)
        first, second, third = ask(alice), ask(alice), ask(alice)
        assert [one.pk for one in lifecycle.claim(owner="one", model="tiny", number=9, policy=two)] == [
            first.pk,
            second.pk,
        ]
        assert lifecycle.claim(owner="two", model="tiny", number=9, policy=two) == [], "also not by another engine"
        other = ask(bob)
        assert [one.pk for one in lifecycle.claim(owner="two", model="tiny", number=9, policy=two)] == [other.pk]
        lifecycle.finish(
            owner="one", progress=lifecycle.Progress(str(first.pk), "So"), ending=lifecycle.Ending(TurnState.COMPLETE)
        )
        assert [one.pk for one in lifecycle.claim(owner="two", model="tiny", number=9, policy=two)] == [third.pk]

    def test_what_was_interrupted_goes_on_whatever_else_its_person_has(self, alice: User) -> None:
        one_at_once = replace(POLICY, answers_at_once=1)
        ask(alice)
        (begun,) = lifecycle.claim(owner="dead", model="tiny", number=1, policy=one_at_once)
        ask(alice)
        Turn.objects.filter(pk=begun.pk).update(lease_until=F("queued_at"), queued_at=timezone.now())
        assert [one.pk for one in lifecycle.claim(owner="next", model="tiny", number=9, policy=one_at_once)] == [
            begun.pk
        ]

    def test_waiting_for_a_model_that_nobody_runs_blocks_no_other(self, alice: User) -> None:
        one_at_once = replace(POLICY, answers_at_once=1)
        Turn.objects.filter(pk=ask(alice).pk).update(model="gone")
        wanted = ask(alice)
        assert [one.pk for one in lifecycle.claim(owner="one", model="tiny", number=9, policy=one_at_once)] == [
            wanted.pk
        ]

    def test_other_models_wait_for_their_engine(self, alice: User) -> None:
        ask(alice)
        assert lifecycle.claim(owner="one", model="another", number=1, policy=POLICY) == []

    def test_a_dead_engine_loses_its_turn_and_may_not_write(self, alice: User) -> None:
        turn = ask(alice)
        lifecycle.claim(owner="dead", model="tiny", number=1, policy=POLICY)
        progress = lifecycle.Progress(str(turn.pk), "Half an", [1, 2])
        assert lifecycle.checkpoint(owner="dead", progress=[progress], policy=POLICY) == {str(turn.pk): False}
        assert lifecycle.claim(owner="next", model="tiny", number=1, policy=POLICY) == [], "the lease holds"
        Turn.objects.update(lease_until=F("queued_at"))
        (taken,) = lifecycle.claim(owner="next", model="tiny", number=1, policy=POLICY)
        assert (taken.text, taken.token_ids) == ("Half an", [1, 2])
        late = lifecycle.Progress(str(turn.pk), "Half an answer", [1, 2, 3])
        assert lifecycle.checkpoint(owner="dead", progress=[late], policy=POLICY) == {}
        assert not lifecycle.finish(owner="dead", progress=late, ending=lifecycle.Ending(TurnState.COMPLETE))
        lifecycle.release(owner="dead", turn_ids=[str(turn.pk)])
        assert (fresh(turn).state, fresh(turn).owner, fresh(turn).text) == (TurnState.IN_PROGRESS, "next", "Half an")

    def test_an_answer_that_kills_every_engine_is_given_up(self, alice: User) -> None:
        turn = ask(alice)
        for number in range(POLICY.fruitless_claims):
            assert lifecycle.end_overdue(POLICY) == 0
            assert lifecycle.claim(owner=f"e{number}", model="tiny", number=1, policy=POLICY)
            Turn.objects.update(lease_until=F("queued_at"))
        assert lifecycle.end_overdue(POLICY) == 1
        assert (fresh(turn).state, fresh(turn).error_code) == (TurnState.FAILED, "engine")

    def test_nobody_waits_for_ever(self, alice: User) -> None:
        waiting, begun, held = ask(alice), ask(alice), ask(alice)
        lifecycle.claim(owner="dead", model="tiny", number=3, policy=POLICY)
        lifecycle.checkpoint(owner="dead", progress=[lifecycle.Progress(str(begun.pk), "Half", [1])], policy=POLICY)
        Turn.objects.update(deadline_at=F("queued_at"))
        Turn.objects.filter(pk=waiting.pk).update(state=TurnState.PENDING, owner="", lease_until=None)
        Turn.objects.filter(pk=begun.pk).update(lease_until=F("queued_at"))
        assert lifecycle.end_overdue(POLICY) == 2
        assert fresh(waiting).state == fresh(begun).state == TurnState.TIMED_OUT
        assert content(begun) == "Half"
        assert fresh(held).state == TurnState.IN_PROGRESS, "its engine lives and ends it itself"

    def test_what_nobody_waits_for_any_more_is_not_answered(self, alice: User, bob: User) -> None:
        """The process that its caller was connected to died, and nobody was left to say so."""
        dead, kept, begun, held = [complete(alice) for _ in range(4)]
        pages = ask(bob)
        lifecycle.claim(owner="dead", model="tiny", number=9, policy=POLICY)
        Turn.objects.filter(pk__in=[begun.pk, pages.pk]).update(lease_until=F("queued_at"))
        Turn.objects.filter(pk__in=[dead.pk, kept.pk]).update(state=TurnState.PENDING, owner="", lease_until=None)
        for one in (dead, begun, held):
            Turn.objects.filter(pk=one.pk).update(wanted_until=F("queued_at"))
        assert chat_services.queries.find_place(dead.pk) is None
        one_free = replace(POLICY, queue_limit=3)
        complete(alice, policy=one_free)
        with pytest.raises(Busy):
            complete(alice, policy=one_free)
        claimed = lifecycle.claim(owner="next", model="tiny", number=9, policy=POLICY)
        assert {one.pk for one in claimed} >= {kept.pk, pages.pk}
        assert not {one.pk for one in claimed} & {dead.pk, begun.pk}
        progress = [lifecycle.Progress(str(one.pk), "So", [1]) for one in (held,)]
        assert lifecycle.checkpoint(owner="dead", progress=progress, policy=POLICY) == {str(held.pk): True}
        assert lifecycle.end_overdue(POLICY) == 2
        assert {fresh(dead).state, fresh(begun).state} == {TurnState.STOPPED}
        assert fresh(held).state == TurnState.IN_PROGRESS, "its engine ends it itself"
        assert fresh(pages).wanted_until is None, "pages may be left and come back to"

    def test_callers_are_waited_for_together(self, alice: User, bob: User, django_assert_num_queries: Any) -> None:
        wanted, ended, other = complete(alice), complete(bob), complete(alice)
        lifecycle.stop(ended.pk)
        Turn.objects.update(wanted_until=F("queued_at"))
        with django_assert_num_queries(1):
            assert lifecycle.still_wanted([wanted.pk, ended.pk], POLICY) == {wanted.pk}
        until = fresh(wanted).wanted_until
        assert until is not None and until > timezone.now() + timedelta(seconds=POLICY.wanted_seconds - 5)
        assert fresh(other).wanted_until == fresh(other).queued_at

    def test_who_waited_too_long_hears_that_it_was_the_queue(self, alice: User) -> None:
        turn = ask(alice)
        Turn.objects.update(deadline_at=F("queued_at"))
        assert lifecycle.end_overdue(replace(POLICY, queue_seconds=7)) == 1
        ended = fresh(turn)
        assert (ended.state, ended.error_code) == (TurnState.TIMED_OUT, "queue_timeout")
        assert "waited 7 seconds in the queue" in ended.error
