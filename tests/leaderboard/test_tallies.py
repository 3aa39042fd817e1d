"""What contributions are worth, how that is taken back, and how boards move with time."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leaderboard import rebuild, tallies, time_frames
from leaderboard.models import Counted, Horizon, Standing, Tally, TrollStanding
from leaderboard.points import COMPLAINTS, COUNTERS
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.site.merging import merge_users
from tasks import lottery
from tests.factories import decide, growing_tree, new_people, new_prompt, new_reply, rank, review, work_until_state
from trees.contributing import reactions, reviews
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1)


def read_all() -> None:
    while tallies.read_outbox() == tallies.BATCH:
        pass


def score(person: User, frame: Frame = Frame.TOTAL, lang: str = "") -> Standing:
    """Count all events and return the user's board entry, or one with zeros."""
    read_all()
    return Standing.objects.filter(person=person, frame=frame, lang=lang).first() or Standing(
        points=0, quality=0, **dict.fromkeys(COUNTERS, 0)
    )


def everything() -> list[list[tuple[object, ...]]]:
    """Return all stored scores, without times of storing."""
    return [
        sorted(map(tuple, Counted.objects.values_list("tree_id"))),
        sorted(Tally.objects.values_list("person_id", "start", "grain", "lang", "kind", "number")),
        sorted(Standing.objects.values_list("frame", "lang", "person_id", "points", "quality", *COUNTERS)),
        sorted(TrollStanding.objects.values_list("frame", "person_id", "score", *COMPLAINTS)),
        sorted(User.objects.values_list("pk", "streak_days", "streak_started_at", "last_activity_at"), key=str),
    ]


def rebuilding_changes_nothing() -> bool:
    before = everything()
    rebuild.rebuild()
    return everything() == before and not list(rebuild.differences())


class TestMergedPeople:
    def test_their_scores_become_one(self, alice: User, bob: User, carol: User) -> None:
        for person in (alice, bob):
            prompt = growing_tree(person, POLICY)
            decide(new_reply(prompt, carol, policy=POLICY), policy=POLICY)
            review(new_prompt(carol), person)
        both = score(alice).points + score(bob).points
        merge_users(destination_id=bob.pk, source_ids=[alice.pk])
        read_all()
        assert list(rebuild.differences()) == []
        assert score(bob).points == both
        assert not Standing.objects.filter(person=alice).exists()
        decide(new_reply(Message.objects.filter(parent=None, author=bob)[0], new_people(1)[0]))
        read_all()
        assert rebuilding_changes_nothing()

    def test_what_stays_with_the_closed_account_stays_counted_there(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(carol)
        review(prompt, alice)
        review(prompt, bob)
        read_all()
        merge_users(destination_id=bob.pk, source_ids=[alice.pk])
        read_all()
        assert list(rebuild.differences()) == []
        assert score(alice).labels_full == score(bob).labels_full == 1


class TestWorth:
    def test_a_prompt_counts_when_it_is_written_and_again_when_it_is_accepted(self, alice: User) -> None:
        prompt = new_prompt(alice)
        assert (score(alice).prompts, score(alice).accepted_prompts) == (1, 0)
        decide(prompt)
        assert (score(alice).prompts, score(alice).accepted_prompts, score(alice).quality) == (1, 1, 1)

    def test_tenths_are_rounded_down_in_the_sum(self, alice: User) -> None:
        for _ in range(9):
            new_prompt(alice)
        assert score(alice).points == 0
        new_prompt(alice)
        assert score(alice).points == 1

    def test_an_answer_is_worth_four_and_four_more_when_accepted(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        lottery.draw("en", POLICY)
        reply = new_reply(prompt, bob)
        assert (score(bob).points, score(bob).provisional) == (4, 4)
        decide(reply)
        assert (score(bob).points, score(bob).provisional, score(bob).quality) == (8, 0, 8)

    def test_a_rejected_answer_keeps_the_points_of_the_wire_and_costs_quality(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        lottery.draw("en", POLICY)
        reply = new_reply(prompt, bob)
        decide(reply, accept=False)
        assert (score(bob).points, score(bob).provisional, score(bob).quality) == (4, 0, -4)

    def test_a_review_is_settled_by_the_outcome(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob)
        assert (score(bob).labels_full, score(bob).points, score(bob).provisional) == (1, 2, 2)
        review(prompt, carol, spam=1)
        decide(prompt)
        assert (score(bob).reviews_agreed, score(bob).provisional, score(bob).quality) == (1, 0, 1)
        assert (score(carol).reviews_disagreed, score(carol).quality, score(carol).points) == (1, -3, 2)

    def test_places_given_by_others_and_rankings_in_line(self, alice: User) -> None:
        prompt = growing_tree(alice, POLICY)
        work_until_state(prompt.pk, State.RANKING, POLICY)
        replies = list(Message.objects.filter(parent=prompt, review_result=True).order_by("position"))
        people = new_people(3)
        for person in people:
            rank(prompt, person, policy=POLICY)
        first, second = replies[0].author, replies[1].author
        assert first and second
        assert (score(first).reply_ranked_1, score(second).reply_ranked_2) == (3, 3)
        assert score(first).points == 4 + 4 + 3 * 9
        assert [score(person).rankings_agreed for person in people] == [1, 1, 1]
        assert [score(person).provisional for person in people] == [0, 0, 0]

    def test_a_verdict_that_all_are_wrong_gives_no_places(self, alice: User, bob: User) -> None:
        prompt = growing_tree(alice, POLICY)
        work_until_state(prompt.pk, State.RANKING, POLICY)
        rank(prompt, bob, policy=POLICY, not_rankable=True)
        assert score(bob).rankings_total == 1
        assert not Tally.objects.filter(kind__startswith="reply_ranked").exists()

    def test_each_language_has_boards_of_its_own(self, alice: User) -> None:
        new_prompt(alice, lang="de")
        new_prompt(alice, lang="en")
        assert [score(alice, lang=lang).prompts for lang in ("", "de", "en", "fr")] == [2, 1, 1, 0]

    def test_imported_work_is_nobodys(self) -> None:
        assert list(rebuild.differences()) == []


class TestTakenBack:
    def test_deleting_takes_away_and_undoing_gives_back(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob)
        decide(prompt)
        full = score(alice)
        deletion = moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="A test", policy=POLICY)
        assert not Standing.objects.filter(person=alice).exists() or score(alice).prompts == 0
        assert score(bob).labels_full == 1, "what others did about it stays theirs"
        moderator_actions.undelete(deletion_id=deletion.pk, actor=mo, reason="A test", policy=POLICY)
        assert (score(alice).prompts, score(alice).accepted_prompts) == (full.prompts, full.accepted_prompts)
        assert rebuilding_changes_nothing()

    def test_nothing_left_leaves_no_row(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        assert score(alice).prompts == 1
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="A test", policy=POLICY)
        read_all()
        assert not Standing.objects.filter(person=alice).exists()
        assert not Tally.objects.filter(person=alice).exists()

    def test_what_cancels_out_makes_no_row(self, alice: User) -> None:
        """Work that moves from one hour to another counts the same on every board."""
        hour = time_frames.hour_of(timezone.now())
        work = [(alice.pk, hour - timedelta(hours=number), "en", "prompts") for number in range(2)]
        tallies.add_change(Counter({work[0]: 1, work[1]: -1}), tallies.horizons())
        assert not Standing.objects.exists()

    def test_a_new_text_makes_the_old_reviews_count_for_the_work_alone(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob)
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="Another text", reason="A test", policy=POLICY
        )
        assert (score(bob).labels_full, score(bob).provisional) == (1, 0)
        decide(prompt)
        assert (score(bob).reviews_agreed, score(bob).points) == (0, 2)


class TestComplaints:
    def test_flags_thumbs_and_labels(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="red_flag", on=True)
        reactions.set_reaction(message_id=prompt.pk, user=carol, emoji="+1", on=True)
        with transaction.atomic():
            labels = {"spam": 1, "lang_mismatch": 0.5, "toxicity": 0.4, "pii": 0.4}
            reviews.record_labels(message=prompt, author=bob, labels=labels, policy=POLICY)
        decide(prompt, accept=False)
        read_all()
        row = TrollStanding.objects.get(person=alice, frame=Frame.TOTAL)
        assert (row.red_flags, row.upvotes, row.lang_mismatch, row.pii, row.spam_prompts) == (1, 1, 1, 0, 1)
        assert (row.toxicity_sum, row.toxicity_number) == (400, 1)
        assert row.score == 3 - 1 + 1 + 1
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="red_flag", on=False)
        read_all()
        row.refresh_from_db()
        assert row.score == 1
        assert rebuilding_changes_nothing()


class TestReading:
    def test_reading_again_changes_nothing(self, alice: User) -> None:
        new_prompt(alice)
        read_all()
        before = everything()
        Happening.objects.update(tallied=False)
        read_all()
        assert everything() == before

    def test_a_fact_that_commits_late_is_not_stepped_over(self, alice: User, bob: User) -> None:
        """Its id is smaller than that of an event that was read before."""
        new_prompt(alice)
        late = Happening.objects.get(kind="message_posted")
        new_prompt(bob)
        Happening.objects.filter(pk=late.pk).update(tallied=True)
        read_all()
        assert score(alice).prompts == 0
        Happening.objects.filter(pk=late.pk).update(tallied=False)
        assert score(alice).prompts == 1

    def test_the_cost_does_not_grow_with_people_or_trees(self, alice: User) -> None:
        def statements() -> int:
            new_prompt(alice)
            with CaptureQueriesContext(connection) as captured:
                assert tallies.read_outbox() == 1
            return len(captured)

        read_all()
        statements()
        few = statements()
        for person in new_people(10):
            new_prompt(person)
        read_all()
        assert statements() == few <= 18

    def test_columns_are_the_counters(self) -> None:
        assert set(COUNTERS) <= {field.name for field in Standing._meta.fields}
        assert set(COMPLAINTS) <= {field.name for field in TrollStanding._meta.fields}


def age(message: Message, by: timedelta) -> None:
    """Make the message older."""
    Message.objects.filter(pk=message.pk).update(created_at=message.created_at - by)


class TestTime:
    def test_where_frames_begin(self) -> None:
        now = datetime.fromisoformat("2026-03-14T14:20:30+00:00")
        assert time_frames.since(Frame.DAY, now) == datetime.fromisoformat("2026-03-13T14:00:00+00:00")
        assert time_frames.since(Frame.WEEK, now) == datetime.fromisoformat("2026-03-07T00:00:00+00:00")
        assert time_frames.since(Frame.MONTH, now) == datetime.fromisoformat("2026-02-12T00:00:00+00:00")
        assert time_frames.since(Frame.TOTAL, now) is None

    def test_old_work_is_only_on_the_boards_it_belongs_to(self, alice: User) -> None:
        age(new_prompt(alice), timedelta(days=10))
        assert [score(alice, frame).prompts for frame in Frame] == [0, 0, 1, 1]

    @pytest.mark.parametrize(
        ("later", "left"),
        [(timedelta(hours=2), [1, 1, 1, 1]), (timedelta(hours=30), [0, 1, 1, 1]), (timedelta(days=9), [0, 0, 1, 1])],
    )
    def test_work_leaves_the_boards_as_time_passes(self, alice: User, later: timedelta, left: list[int]) -> None:
        new_prompt(alice)
        read_all()
        tallies.advance_frames(timezone.now() + later)
        assert [score(alice, frame).prompts for frame in Frame] == left
        assert list(rebuild.differences()) == []

    def test_moving_on_twice_or_back_changes_nothing(self, alice: User) -> None:
        new_prompt(alice)
        read_all()
        later = timezone.now() + timedelta(days=3)
        assert tallies.advance_frames(later) > 0
        before = everything()
        assert tallies.advance_frames(later) == 0
        assert tallies.advance_frames(timezone.now()) == 0
        assert everything() == before

    def test_hours_become_days_and_the_sums_stay(self, alice: User) -> None:
        for hours in (0, 1, 2):
            age(new_prompt(alice), timedelta(hours=hours))
        read_all()
        assert Tally.objects.filter(kind="prompts").count() == 3
        tallies.advance_frames(timezone.now() + timedelta(days=4))
        rows = Tally.objects.filter(kind="prompts")
        assert {row.grain for row in rows} == {"day"}
        assert sum(row.number for row in rows) == 3
        assert rebuilding_changes_nothing()

    def test_a_late_verdict_about_old_work_goes_to_its_day(self, alice: User) -> None:
        prompt = new_prompt(alice)
        read_all()
        tallies.advance_frames(timezone.now() + timedelta(days=4))
        decide(prompt)
        assert score(alice).accepted_prompts == 1
        assert score(alice, Frame.DAY).accepted_prompts == 0
        assert rebuilding_changes_nothing()

    def test_a_long_sleep_of_the_clock(self, alice: User) -> None:
        """Folding must keep what has to leave the board of the day later."""
        new_prompt(alice)
        read_all()
        tallies.advance_frames(timezone.now() + timedelta(days=400))
        assert [score(alice, frame).prompts for frame in Frame] == [0, 0, 0, 1]
        assert list(rebuild.differences()) == []


class TestDifferences:
    def test_each_kind_of_damage_is_found(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob)
        read_all()
        assert list(rebuild.differences()) == []
        for model in (Counted, Tally, Standing, TrollStanding):
            if model is TrollStanding:
                TrollStanding.objects.create(frame="day", person=alice, red_flags=3)
            elif model is Counted:
                Counted.objects.update(counts=[])
            elif model is Tally:
                Tally.objects.filter(kind="prompts").update(number=7)
            else:
                Standing.objects.filter(person=alice, frame="day").update(prompts=5)
            assert list(rebuild.differences()), model
            rebuild.rebuild()
            assert list(rebuild.differences()) == [], model

    def test_what_is_not_read_yet_is_behind_and_not_wrong(self, alice: User) -> None:
        Horizon.objects.all().delete()
        new_prompt(alice)
        assert list(rebuild.differences()) == []
