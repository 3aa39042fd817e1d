"""What people are told: each thing once, nothing about their own acts, nothing that holds no more."""

import threading
from typing import Any
from unittest import mock

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from leaderboard import hot, rebuild
from leaderboard.levels import number_of
from leaderboard.models import Moved, Risen, Standing
from oasst.accounts.closing import close_account
from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site.merging import merge_users
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import bell, choices, levels, queries, writing
from tests.factories import decide, growing_tree, new_person, new_prompt, new_reply, review, work_until_state
from trees.contributing import corrections, reactions, reviews, withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message, Report
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
Kind = Notice.Kind
POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1)


def read_all() -> None:
    while writing.read_outbox() == writing.BATCH:
        pass


def told(person: User, *, fresh: bool = True) -> list[str]:
    """Read the outbox, and return what the person's page says, oldest first."""
    if fresh:
        read_all()
    return [entry.text for entry in reversed(queries.page_of(person.pk).entries)]


class TestDecisions:
    def test_accepted(self, alice: User) -> None:
        decide(new_prompt(alice))
        assert told(alice) == ["Your prompt was accepted."]

    def test_not_accepted_says_why_but_not_who_or_how_many(self, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(bob), alice)
        for labels in ({"spam": 1, "pii": 1, "quality": 1}, {"spam": 1, "lang_mismatch": 1}):
            with transaction.atomic():
                reviews.record_labels(message=reply, author=new_person("R"), labels=labels, policy=TreePolicy())
        decide(reply, accept=False)
        (text,) = told(alice)
        assert text == (
            "Your reply was not accepted. Reviewers said: it does not belong in the data set; "
            "it is written in another language; it contains personal data."
        )

    def test_one_who_accepts_does_not_give_a_reason(self, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(bob), alice)
        with transaction.atomic():
            reviews.record_labels(message=reply, author=bob, labels={"spam": 0, "pii": 1}, policy=TreePolicy())
        decide(reply, accept=False)
        assert "personal data" not in told(alice)[0]

    def test_one_that_was_undone_is_left_out(self, alice: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        read_all()
        Message.objects.filter(pk=prompt.pk).update(review_result=None)
        assert told(alice) == []
        assert bell.count_unread(alice.pk) == 0

    def test_one_that_was_taken_again_is_said_once(self, alice: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        Happening.objects.create(kind="message_accepted", subject=alice, message=prompt, tree_id=prompt.pk)
        assert told(alice) == ["Your prompt was accepted."]
        assert bell.count_unread(alice.pk) == 1


class TestAnswers:
    def test_only_when_it_was_accepted(self, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        good, bad = new_reply(prompt, bob), new_reply(prompt, new_person("Junk"))
        assert "Your text has a new reply." not in told(alice)
        decide(good)
        decide(bad, accept=False)
        assert told(alice)[1:] == ["Your text has a new reply."]

    def test_a_burst_is_one_row(self, alice: User) -> None:
        prompt = growing_tree(alice)
        for _ in range(3):
            decide(new_reply(prompt, new_person("B")))
        assert told(alice)[1:] == ["Your text has 3 new replies."]
        assert Notice.objects.filter(person=alice, kind=Kind.ANSWERED).count() == 3

    def test_not_by_oneself(self, alice: User, bob: User) -> None:
        policy = TreePolicy(lonely_children_count=1)
        reply = new_reply(growing_tree(alice, policy), bob, policy=policy)
        decide(reply, policy=policy)
        Message.objects.filter(pk=reply.pk).update(author=alice)
        Happening.objects.filter(message=reply).update(subject=alice)
        assert told(alice) == ["Your prompt was accepted.", "Your reply was accepted."]

    def test_a_better_text(self, alice: User, bob: User, carol: User) -> None:
        reply = new_reply(growing_tree(alice), bob)
        decide(reply)
        suggested = corrections.suggest(message_id=reply.pk, user=carol, text="A far better one", policy=TreePolicy())
        assert "Somebody suggested a better version of your text." not in told(bob)
        decide(suggested)
        assert told(bob)[-1] == "Somebody suggested a better version of your text."


class TestOtherKinds:
    def test_ranked_first_once_the_tree_is_finished(self, alice: User) -> None:
        prompt = growing_tree(alice, POLICY)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
        best = Message.objects.get(tree=prompt.pk, rank=0, depth=1)
        assert best.author is not None
        assert told(best.author)[-1] == "People ranked your reply first."
        assert Notice.objects.filter(kind=Kind.RANKED_FIRST).count() == 1

    def test_a_report(self, alice: User, bob: User, mo: User) -> None:
        prompt = growing_tree(alice)
        report = reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status=Report.Status.DISMISSED, outcome="Fine.", policy=TreePolicy()
        )
        assert told(bob) == ["A moderator looked at the message that you reported, and decided that it stays."]

    def test_no_notice_of_the_moderators_own_act(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice)
        report = reactions.report(message_id=prompt.pk, reporter=mo, category="spam")
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status=Report.Status.UPHELD, outcome="Right.", policy=TreePolicy()
        )
        assert told(mo) == []

    @pytest.mark.parametrize("grants", [True, False])
    def test_a_withdrawal(self, alice: User, bob: User, mo: User, grants: bool) -> None:
        prompt = growing_tree(alice)
        decide(new_reply(prompt, bob))
        read_all()
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="", policy=TreePolicy())
        act = moderator_actions.grant_withdrawal if grants else moderator_actions.refuse_withdrawal
        row = prompt.withdrawals.get()
        act(withdrawal_id=row.pk, actor=mo, reason="So be it.", policy=TreePolicy())
        assert told(alice)[-1] == (
            "A moderator removed the text that you withdrew."
            if grants
            else "A moderator decided that the text that you withdrew stays."
        )

    def test_an_own_withdrawal_says_nothing(self, alice: User) -> None:
        prompt = new_prompt(alice)
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="", policy=TreePolicy())
        assert told(alice) == []


def give_points(person: User, reviews: int) -> None:
    """Let the person have as many points as this number of reviews gives, as the tallies store them."""
    Standing.objects.update_or_create(frame="total", lang="", person=person, defaults={"labels_full": reviews})
    hot.recompute_moved()


class TestLevels:
    @pytest.mark.parametrize("in_order", [False, True])
    def test_each_once_and_several_together(self, alice: User, in_order: bool) -> None:
        for reviews_given in (8, 30, 5, 30):
            give_points(alice, reviews_given)
            if in_order:
                hot.put_in_order()
            levels.tell_levels()
            levels.tell_levels()
        told_levels = list(Notice.objects.filter(person=alice).order_by("pk").values_list("level", flat=True))
        assert told_levels == sorted(set(told_levels)) and len(told_levels) == 2
        assert told(alice)[-1] == f"You reached level {told_levels[-1]}."
        assert not Risen.objects.exists()

    def test_whoever_had_a_level_before_is_told_of_the_next(self, alice: User) -> None:
        NoticeAccount.objects.create(person=alice, level=100)
        give_points(alice, 500)
        assert levels.tell_levels() == 0
        assert not Notice.objects.exists()

    def test_after_all_points_were_counted_anew(self, alice: User) -> None:
        give_points(alice, 8)
        Moved.objects.all().delete()
        rebuild.note_all_as_risen()
        assert levels.tell_levels() == 1
        assert Notice.objects.filter(person=alice, kind=Kind.LEVEL_REACHED).count() == 1

    def test_a_closed_account_hears_nothing(self, alice: User) -> None:
        give_points(alice, 8)
        hot.put_in_order()
        User.objects.filter(pk=alice.pk).update(is_active=False)
        levels.tell_levels()
        assert not Notice.objects.exists()

    def test_points_that_change_nothing_note_nobody(self, alice: User) -> None:
        give_points(alice, 8)
        hot.put_in_order()
        Risen.objects.all().delete()
        give_points(alice, 9)
        hot.put_in_order()
        assert not Risen.objects.exists()

    def test_a_rise_while_it_is_read_is_told_too(self, alice: User) -> None:
        """The reader has the row while the leaderboard counts more points: the next run tells the higher level."""
        give_points(alice, 8)
        hot.put_in_order()

        def rise(*args: Any, **kwargs: Any) -> list[Any]:
            give_points(alice, 30)
            hot.put_in_order()
            return []

        with mock.patch.object(levels, "_rising", side_effect=rise):
            levels.tell_levels()
        levels.tell_levels()
        highest = Notice.objects.filter(person=alice).order_by("-level").values_list("level", flat=True)[0]
        assert highest == number_of(Standing.objects.get(frame="total", lang="", person=alice).points)


class TestOnce:
    def test_reading_twice_tells_once(self, alice: User) -> None:
        decide(new_prompt(alice))
        read_all()
        Happening.objects.update(noticed=False)  # as after a restore of an older state
        read_all()
        assert Notice.objects.filter(person=alice).count() == 1

    def test_a_killed_reader_leaves_nothing_half_done(self, alice: User) -> None:
        for _ in range(3):
            decide(new_prompt(alice))
        writing.read_outbox(limit=2)
        before = Notice.objects.count()
        with mock.patch.object(bell, "changed", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            writing.read_outbox()
        assert Notice.objects.count() == before
        read_all()
        assert Notice.objects.filter(person=alice).count() == 3

    def test_what_tells_nobody_wakes_nobody(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob)
        quiet = Happening.objects.filter(kind__in=["message_posted", "message_reviewed"])
        assert quiet.count() == 2 and not quiet.filter(noticed=False).exists()

    def test_ten_times_the_events_cost_no_more_statements(self, alice: User) -> None:
        def statements(events: int) -> int:
            for _ in range(events):
                decide(new_prompt(alice))
            with CaptureQueriesContext(connection) as captured:
                writing.read_outbox()
            return len(captured)

        assert statements(1) >= statements(10)


@pytest.mark.django_db(transaction=True)
def test_readers_at_once_tell_once(alice: User) -> None:
    for _ in range(4):
        decide(new_prompt(alice))
    readers = [threading.Thread(target=_read_and_close) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert Notice.objects.filter(person=alice).count() == 4


def _read_and_close() -> None:
    try:
        read_all()
    finally:
        connection.close()


class TestPeople:
    def test_a_muted_kind_is_not_told(self, alice: User) -> None:
        choices.choose(alice.pk, kinds=[Kind.ANSWERED], digest="none")
        decide(new_prompt(alice))
        assert told(alice) == []

    def test_a_closed_account_has_none(self, alice: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        read_all()
        close_account(alice)
        job = WaitingJob.objects.get(job="oasst.site.notices.jobs.forget_person")
        choices.forget_person(alice.pk)
        assert job.args == [str(alice.pk)]
        Happening.objects.update(noticed=False)
        read_all()
        assert not Notice.objects.filter(person=alice).exists()

    def test_merging_keeps_those_of_the_account_that_stays(self, alice: User, bob: User) -> None:
        for person in (alice, bob):
            decide(new_prompt(person))
        read_all()
        merge_users(destination_id=alice.pk, source_ids=[bob.pk])
        told = Notice.objects.order_by("pk").filter(person=alice)
        assert [*told.values_list("kind", flat=True)] == [Notice.Kind.ACCEPTED, Notice.Kind.MERGED]
        assert told[1].data == {"names": ["Bob"]}


class TestBell:
    def test_it_costs_a_statement_a_minute_and_none_between(self, alice: User, django_assert_num_queries: Any) -> None:
        decide(new_prompt(alice))
        read_all()
        cache.clear()
        with django_assert_num_queries(1):
            assert [bell.count_unread(alice.pk) for _ in range(3)] == [1, 1, 1]

    def test_a_write_is_seen_at_once(self, alice: User, django_capture_on_commit_callbacks: Any) -> None:
        assert bell.count_unread(alice.pk) == 0
        decide(new_prompt(alice))
        with django_capture_on_commit_callbacks(execute=True):
            read_all()
        assert bell.count_unread(alice.pk) == 1

    def test_without_redis_it_counts(self, alice: User) -> None:
        decide(new_prompt(alice))
        read_all()
        with mock.patch.object(cache, "get", return_value=None), mock.patch.object(cache, "set", return_value=False):
            assert bell.count_unread(alice.pk) == 1
