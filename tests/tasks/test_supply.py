"""A language takes as many prompts as its people can carry; users who have to wait see the numbers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from tasks import assignment, capacity, estimates, lottery, queries, schedules
from tasks.kinds import Kind
from tasks.models import Capacity, Task
from tasks.supply import Supply, WorkAmounts, read_supply, work_per_tree
from tests.factories import decide, growing_tree, new_people, new_person, new_prompt, new_reply, new_veterans, state_of
from trees.contributing import reactions, withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree
from trees.moderation import auto_moderation, banned_authors
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
NEED = work_per_tree(POLICY)


def carrying(trees_a_week: float, lang: str = "en", weeks: float = 4) -> None:
    """Store that the language was measured for `weeks` and carried this much."""
    Capacity.objects.update_or_create(
        lang=lang,
        defaults={
            "reviews": int(trees_a_week * weeks * NEED.reviews),
            "replies": int(trees_a_week * weeks * NEED.replies),
            "rankings": int(trees_a_week * weeks * NEED.rankings),
            "since": timezone.now() - timedelta(weeks=weeks),
            "measured_at": timezone.now(),
        },
    )


def done(person: User, kind: Kind, number: int, *, days_ago: float = 1, lang: str = "en") -> None:
    at = timezone.now() - timedelta(days=days_ago)
    Task.objects.bulk_create(
        Task(user=person, kind=kind, lang=lang, status=Task.Status.DONE, expires_at=at, finished_at=at)
        for _ in range(number)
    )


def wanted(lang: str = "en") -> int:
    return read_supply(lang, POLICY).prompts_wanted()


@pytest.mark.parametrize("weighted", [False, True])
def test_many_reviews_are_estimated_at_once(weighted: bool) -> None:
    """Administrators may ask for a hundred; each further one must not double the work."""
    policy = TreePolicy(
        num_reviews_initial_prompt=100,
        num_reviews_reply=100,
        weighted_reviews=weighted,
        weighted_least_reviews=100,
        weighted_most_reviews=100,
    )
    need = work_per_tree(policy)
    assert 500 < need.reviews < 1_500


class TestTreesThatWaitForAModerator:
    def test_what_is_hidden_in_each_growing_tree_does_not_stop_the_language(self) -> None:
        policy = TreePolicy(max_active_trees=2, goal_tree_size=3, max_tree_depth=1)
        prompts = [growing_tree(new_person("Writer"), policy) for _ in range(2)]
        for prompt in prompts:
            hidden = new_reply(prompt, new_person("Writer"), policy=policy)
            decide(hidden, policy=policy)
            for person in new_veterans(4, policy):
                reactions.report(message_id=hidden.pk, reporter=person, category="spam")
            assert auto_moderation.moderate(message_id=hidden.pk, policy=policy)
        waiting = new_prompt(new_person("Writer"), policy=policy)
        decide(waiting, policy=policy)
        assert (read_supply("en", policy).growing, lottery.draw("en", policy)) == (2, 0)  # they offer work
        for prompt in prompts:
            decide(new_reply(prompt, new_person("Writer"), policy=policy), policy=policy)
            assert (state_of(prompt), prompt.tree.openings.count()) == (State.GROWING, 0)
        assert (read_supply("en", policy).growing, read_supply("en", policy).unfinished) == (0, 1)
        assert lottery.draw("en", policy) == 1
        assert state_of(waiting) == State.GROWING

    def test_nor_does_what_authors_withdrew(self) -> None:
        policy = TreePolicy(max_active_trees=2)
        for _ in range(2):
            prompt = growing_tree(author := new_person("Writer"), policy)
            new_reply(prompt, new_person("Writer"), policy=policy)
            withdrawal.withdraw(message_id=prompt.pk, author=author, policy=policy)
            assert state_of(prompt) == State.GROWING
        assert read_supply("en", policy).growing == 0
        decide(new_prompt(new_person("Writer"), policy=policy), policy=policy)
        assert lottery.draw("en", policy) == 1


class TestWorkOfATree:
    def test_the_default_tree(self) -> None:
        """Eleven replies, nine in ten of them accepted, each message reviewed until the third vote cannot matter, and
        three families ranked by three users each.
        """
        assert NEED.replies == pytest.approx(11 / 0.9)
        assert NEED.reviews == pytest.approx((1 + 11) / 0.9 * 2.18, rel=0.001)
        assert NEED.rankings == 9

    def test_a_tree_without_siblings_is_not_ranked(self) -> None:
        assert work_per_tree(TreePolicy(max_children_count=1)).rankings == 0

    def test_fewer_reviews_wanted_cost_fewer(self) -> None:
        assert work_per_tree(TreePolicy(num_reviews_reply=1)).reviews < NEED.reviews


class TestPace:
    """Conversations per week, from past work."""

    FULL = Supply(POLICY, weeks=4, done=WorkAmounts(reviews=400 * 4, replies=20 * 4 * NEED.replies, rankings=0))

    def test_the_scarcest_work_decides(self) -> None:
        assert self.FULL.pace == pytest.approx(400 / NEED.reviews)
        few_repliers = replace(self.FULL, done=WorkAmounts(400 * 4, 2 * 4 * NEED.replies, 0))
        assert few_repliers.pace == pytest.approx(2)

    def test_rankings_count_once_they_are_what_is_missing(self) -> None:
        assert replace(self.FULL, growing=5, ranking=5).pace == self.FULL.pace
        assert replace(self.FULL, growing=5, ranking=6).pace == 0

    def test_work_that_no_tree_needs_bounds_nothing(self) -> None:
        lone_prompts = TreePolicy(goal_tree_size=1)
        supply = replace(self.FULL, policy=lone_prompts, done=WorkAmounts(reviews=40, replies=0, rankings=0))
        assert supply.pace and supply.pace > 1

    def test_a_language_starts_with_the_numbers_of_the_policy(self) -> None:
        assert Supply(POLICY).pace is None
        assert Supply(POLICY).max_growing == POLICY.max_active_trees
        just_begun = Supply(POLICY, weeks=0, done=WorkAmounts(0, 0, 0))
        assert just_begun.max_unfinished == POLICY.max_active_trees
        quiet = [replace(just_begun, weeks=weeks).max_unfinished for weeks in (0, 1, 2, 4)]
        assert quiet == sorted(quiet, reverse=True) and quiet[-1] == 3  # type: ignore[type-var]

    def test_the_numbers_of_the_policy_stay_upper_bounds(self) -> None:
        rich = replace(self.FULL, done=WorkAmounts(1e6, 1e6, 1e6))
        assert rich.max_growing == POLICY.max_active_trees
        assert rich.prompts_wanted() == POLICY.max_active_trees + POLICY.max_initial_prompt_review
        assert replace(rich, waiting=POLICY.max_prompt_lottery_waiting).prompts_wanted() == 0


class TestMeasure:
    def test_answers_of_the_last_weeks_by_language(self, alice: User) -> None:
        done(alice, Kind.LABEL_ASSISTANT_REPLY, 5)
        done(alice, Kind.LABEL_INITIAL_PROMPT, 2, days_ago=27)
        done(alice, Kind.LABEL_INITIAL_PROMPT, 9, days_ago=29)
        done(alice, Kind.PROMPTER_REPLY, 3)
        done(alice, Kind.INITIAL_PROMPT, 7)
        done(alice, Kind.RANK_ASSISTANT_REPLIES, 4, lang="de")
        schedules.measure_capacity()
        schedules.measure_capacity()
        found = {row.lang: (row.reviews, row.replies, row.rankings) for row in Capacity.objects.all()}
        assert found == {"en": (7, 3, 0), "de": (0, 0, 4)}
        assert (timezone.now() - Capacity.objects.get(lang="en").since).days == 27

    def test_silence_is_measured_too_and_the_beginning_is_kept(self, alice: User) -> None:
        done(alice, Kind.ASSISTANT_REPLY, 3)
        capacity.measure()
        before = Capacity.objects.get()
        Task.objects.all().delete()
        capacity.measure()
        after = Capacity.objects.get()
        assert (after.replies, after.since) == (0, before.since)

    def test_one_statement_whatever_was_done(self, alice: User) -> None:
        done(alice, Kind.ASSISTANT_REPLY, 30)
        with CaptureQueriesContext(connection) as captured:
            capacity.measure()
        assert len(captured) == 1


class TestEstimates:
    def test_the_middle_of_what_people_took(self, alice: User) -> None:
        done(alice, Kind.LABEL_INITIAL_PROMPT, 30)
        done(alice, Kind.ASSISTANT_REPLY, 5)
        for number, task in enumerate(Task.objects.filter(kind=Kind.LABEL_INITIAL_PROMPT)):
            took = timedelta(minutes=3) if number < 25 else timedelta(hours=2)
            Task.objects.filter(pk=task.pk).update(created_at=task.finished_at - took)
        schedules.measure_capacity()
        assert estimates.estimated_minutes(read_supply("en", current_policy())) == {Kind.LABEL_INITIAL_PROMPT: 3}
        assert estimates.estimated_minutes(read_supply("de", current_policy())) == {}

    def test_one_statement_whatever_was_done(self, alice: User) -> None:
        done(alice, Kind.ASSISTANT_REPLY, 30)
        capacity.measure()
        with CaptureQueriesContext(connection) as captured:
            estimates.measure()
        assert len(captured) == 1


class TestSupply:
    def test_a_language_is_asked_for_what_it_can_carry(self, alice: User) -> None:
        carrying(2)
        assert wanted() == 6
        for _ in range(4):
            new_prompt(alice)
        assert wanted() == 2
        carrying(1)
        assert wanted() == 0
        carrying(30)
        assert wanted() == 86

    def test_other_languages_are_not_asked(self) -> None:
        carrying(0, "de")
        assert wanted("en") == POLICY.max_initial_prompt_review + POLICY.max_active_trees
        assert wanted("de") == 3

    def test_only_so_many_grow_as_can_be_carried(self, alice: User) -> None:
        for person in new_people(5):
            decide(new_prompt(person))
        carrying(1)
        assert lottery.draw("en", POLICY, limit=9) == 3
        assert lottery.draw("en", POLICY, limit=9) == 0

    def test_trees_in_ranking_are_unfinished_too(self, alice: User) -> None:
        growing_tree(alice)
        carrying(1)
        assert wanted() == 2
        MessageTree.objects.update(state=State.RANKING)
        assert wanted() == 2
        MessageTree.objects.update(state=State.READY_FOR_EXPORT)
        assert wanted() == 3

    def test_prompts_of_banned_people_fill_no_waiting_room(self, alice: User) -> None:
        for _ in range(3):
            decide(new_prompt(alice))
        carrying(1)
        assert wanted() == 0
        alice.enabled = False
        alice.save()
        assert lottery.draw("en", POLICY) == 0  # finds only prompts of a banned author
        assert lottery.draw("en", POLICY) == 0
        (job,) = WaitingJob.objects.all()
        assert (job.job, job.args) == ("trees.jobs.follow_standing", [str(alice.pk)])
        banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        supply = read_supply("en", POLICY)
        assert (supply.waiting, supply.prompts_to_draw(), supply.prompts_wanted()) == (0, 0, 3)
        assert lottery.draw("en", POLICY) == 0

    def test_one_statement(self, alice: User) -> None:
        carrying(1)
        new_prompt(alice)
        with CaptureQueriesContext(connection) as captured:
            read_supply("en", POLICY)
        assert len(captured) == 1


class TestWhoeverHasToWaitHearsWhy:
    def refusal(self, person: User, policy: TreePolicy = POLICY) -> queries.NoWork:
        tasks = Task.objects.count()
        with pytest.raises(assignment.NothingToDo) as refusal:
            assignment.request_task(user=person, lang="en", kind=Kind.INITIAL_PROMPT, policy=policy)
        assert Task.objects.count() == tasks
        nothing: queries.NoWork = refusal.value.details["nothing"]
        assert (refusal.value.message, refusal.value.hint) == (nothing.text, nothing.unlock)
        return nothing

    def test_more_than_the_language_can_carry(self, alice: User, bob: User) -> None:
        growing_tree(alice)
        for _ in range(3):
            new_prompt(alice)
        carrying(1)
        nothing = self.refusal(bob)
        assert nothing.title == "There are enough prompts for now"
        assert nothing.text == (
            "People finish about 1 conversation a week in this language. At most 3 are open at once. "
            "4 conversations are open now: 3 in review, 1 being written."
        )
        assert nothing.unlock == (
            "A new prompt is wanted after 2 more conversations are finished. Open now: 6 checks, 3 replies."
        )

    def test_a_full_waiting_room(self, alice: User, bob: User) -> None:
        policy = replace(POLICY, max_prompt_lottery_waiting=2, max_active_trees=0)
        for _ in range(2):
            decide(new_prompt(alice))
        nothing = self.refusal(bob, policy)
        assert nothing.text == ("2 accepted prompts are waiting for their turn. A new one would only wait behind them.")

    def test_many_in_review_and_somebody_writing(self, alice: User, bob: User) -> None:
        policy = replace(POLICY, max_initial_prompt_review=2, max_active_trees=0)
        new_prompt(alice)
        assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=policy)
        nothing = self.refusal(bob, policy)
        assert nothing.text == (
            "1 prompt is waiting for reviewers, at most 2 may wait at a time. "
            "0 of at most 0 conversations are being written. "
            "1 person is writing one right now."
        )
        assert nothing.unlock == (
            "New prompts are wanted again after others are answered, checked and ranked. Open now: 2 checks."
        )

    def test_on_the_page(self, alice: User, bob: User, client: Client) -> None:
        for _ in range(3):
            new_prompt(alice)
        carrying(1)
        client.force_login(bob)
        page = client.post("/tasks/next/", {"kind": "initial_prompt", "lang": "en"}, follow=True).content.decode()
        assert "People finish about 1 conversation a week" in page
        assert "Open now: 6 checks." in page


def test_a_finished_conversation_makes_room(alice: User, bob: User) -> None:
    carrying(0)
    prompts = [new_prompt(person) for person in new_people(3)]
    assert wanted() == 0
    decide(prompts[0], accept=False)
    assert state_of(prompts[0]) == State.ABORTED_LOW_GRADE
    assert wanted() == 1
