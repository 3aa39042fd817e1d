"""The queue of turns: the order, and turns that end without an answer."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from inference import queries
from inference.models import Turn
from inference.turns import lifecycle
from inference.turns.states import TurnState
from oasst.accounts.models import User
from oasst.core.errors import Busy
from tests.inference.talking import POLICY, ask, complete, content, fresh

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]


class TestQueue:
    """Round-robin over users: every first turn comes before any second one."""

    def test_order_and_places(self, alice: User, bob: User, carol: User) -> None:
        a1, a2, a3 = ask(alice), ask(alice), ask(alice)
        b1, c1 = ask(bob), ask(carol)
        b2 = ask(bob)
        expected = [a1, b1, c1, a2, b2, a3]
        places = [queries.find_queue_position(turn.pk) for turn in expected]
        assert [place and place.position for place in places] == [1, 2, 3, 4, 5, 6]
        got = [lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)[0].pk for _ in expected]
        assert got == [turn.pk for turn in expected]
        assert queries.find_queue_position(a1.pk) is None

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
        """The process with the connection of the caller died without ending the turn."""
        dead, kept, begun, held = [complete(alice) for _ in range(4)]
        pages = ask(bob)
        lifecycle.claim(owner="dead", model="tiny", number=9, policy=POLICY)
        Turn.objects.filter(pk__in=[begun.pk, pages.pk]).update(lease_until=F("queued_at"))
        Turn.objects.filter(pk__in=[dead.pk, kept.pk]).update(state=TurnState.PENDING, owner="", lease_until=None)
        for one in (dead, begun, held):
            Turn.objects.filter(pk=one.pk).update(wanted_until=F("queued_at"))
        assert queries.find_queue_position(dead.pk) is None
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
            assert Turn.objects.renew([wanted.pk, ended.pk], POLICY.wanted_seconds) == {wanted.pk}
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
