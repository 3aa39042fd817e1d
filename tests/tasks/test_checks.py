"""Checks: review tasks about gold messages and repeats. Their user cannot tell, and no tree changes."""

import difflib
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leaderboard import tallies
from leaderboard.queries import own_counts
from leaderboard.scoring import credits_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, Gone
from oasst.core.markdown import rendering
from oasst.site import merging
from oasst.site.invariants import find_differences
from tasks import assignment, capacity, checks, submission
from tasks.kinds import Kind
from tasks.models import Capacity, Task
from tasks.supply import Supply
from tests.crowd import answer, start_tree, work_until
from tests.factories import decide, delete, growing_tree, new_people, new_person, new_prompt, new_reply, state_of
from trees.contributing import gold, reviewers, withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import (
    GoldMessage,
    Happening,
    Message,
    MessageTree,
    Opening,
    Practice,
    Purge,
    Review,
    ReviewerRecord,
    Revision,
    Skip,
)
from trees.moderation import moderator_actions
from trees.queries import contribution_counts

pytestmark = pytest.mark.django_db
GOLD = TreePolicy(check_share=1 / 15, check_repeats=0, check_least_pool=2, max_active_trees=0)
REPEAT = replace(GOLD, check_repeats=1)
KIND = Kind.LABEL_INITIAL_PROMPT


@pytest.fixture
def boss() -> User:
    return new_person("Boss", role="admin")


@pytest.fixture(autouse=True)
def lucky(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dice always ask for a check, about a good message."""
    monkeypatch.setattr(checks, "random", SimpleNamespace(random=lambda: 0.0))


@pytest.fixture
def pool(boss: User) -> list[Message]:
    """Three gold messages, a language that has enough of them, and a prompt that waits for ordinary reviews."""
    prompts = [new_prompt(author) for author in new_people(3)]
    for prompt in prompts:
        decide(prompt)
        gold.mark(message_id=prompt.pk, actor=boss, reason="Surely right.", policy=GOLD)
    new_prompt(new_person("Writer"))
    measure()
    return prompts


def measure(policy: TreePolicy = GOLD) -> None:
    now = timezone.now()
    fields = {"reviews": 9, "replies": 9, "rankings": 9, "since": now, "measured_at": now}
    Capacity.objects.update_or_create(lang="en", defaults=fields)
    checks.measure(policy)


def with_history(person: User, reviews: int = 14, *, kind: str = "review") -> User:
    """Return the person with so many earlier reviews."""
    message = Message.objects.filter(lang="eo").first() or new_prompt(new_person("Elsewhere"), lang="eo")
    texts = Revision.objects.bulk_create(Revision(message=message, text=str(n)) for n in range(reviews))
    Review.objects.bulk_create(
        Review(message=message, revision=text, author=person, labels={"spam": 0}, kind=kind) for text in texts
    )
    return person


def take(person: User, policy: TreePolicy = GOLD, kind: Kind | None = KIND, **more: Any) -> Task:
    return assignment.request_task(user=person, lang="en", kind=kind, policy=policy, **more)


def judge(task: Task, policy: TreePolicy = GOLD, spam: float = 0) -> Task:
    return submission.submit_labels(task_id=task.pk, user=task.user, labels={"spam": spam}, policy=policy)


def everything_about(message_id: UUID) -> Any:
    """Return all that a review could change."""
    message = Message.objects.values().get(pk=message_id)
    tree = MessageTree.objects.values().get(pk=message["tree_id"])
    openings = list(Opening.objects.filter(tree=message["tree_id"]).values())
    events = Happening.objects.exclude(kind=Happening.Kind.MESSAGE_CHECKED).count()
    return message, tree, openings, events, Skip.everything.count()


class TestAsking:
    def test_a_gold_message_is_handed_out_like_any_other(self, pool: list[Message], bob: User) -> None:
        task = take(with_history(bob))
        assert task.message in pool
        assert (task.check_kind, task.kind, task.mode) == ("gold", KIND.value, "full")
        assert task.revision_ids == [task.message.revision_id]  # type: ignore[union-attr]
        assert not Opening.objects.filter(lease=task.pk).exists()

    def test_only_if_there_is_other_work(self, pool: list[Message], bob: User) -> None:
        Opening.objects.all().delete()
        for kind in (KIND, None):
            with pytest.raises(assignment.NothingToDo):
                take(with_history(bob), replace(GOLD, max_initial_prompt_review=0), kind)

    @pytest.mark.parametrize(
        ("reviews", "earlier", "expected"), [(13, 0, ""), (14, 0, "gold"), (27, 1, ""), (28, 1, "gold")]
    )
    def test_at_most_one_in_fifteen(
        self, pool: list[Message], bob: User, reviews: int, earlier: int, expected: str
    ) -> None:
        with_history(bob, earlier, kind="gold")
        assert take(with_history(bob, reviews)).check_kind == expected

    def test_never_a_third_among_thirty(self, pool: list[Message], bob: User) -> None:
        with_history(bob, 40)
        with_history(bob, 2, kind="repeat")
        with_history(bob, 27)
        assert take(bob).check_kind == ""
        Task.objects.all().delete()
        Opening.objects.update(holder=None, lease=None, held_until=None)
        assert take(with_history(bob, 1)).check_kind == "gold"

    def test_one_at_a_time(self, pool: list[Message], bob: User) -> None:
        first, second = take(with_history(bob)), take(bob)
        assert (first.check_kind, second.check_kind) == ("gold", "")

    def test_no_message_twice(self, pool: list[Message], bob: User) -> None:
        seen = set()
        for _ in pool:
            task = take(with_history(bob))
            seen.add(task.message_id)
            if len(seen) == 1:
                assignment.skip(task_id=task.pk, user=bob, policy=GOLD)
            elif len(seen) == 2:
                Task.objects.filter(pk=task.pk).update(status="expired", finished_at=timezone.now())
            else:
                judge(task)
        assert seen == {message.pk for message in pool}
        assert take(with_history(bob, 30)).check_kind == ""

    @pytest.mark.parametrize("part", ["author", "reviewer", "reaction", "practice"])
    def test_nobody_who_took_part_in_the_conversation(self, pool: list[Message], bob: User, part: str) -> None:
        keep_only(pool[0])
        if part == "author":
            bob = pool[0].author  # type: ignore[assignment]
        elif part == "reviewer":
            bob = Review.objects.filter(message=pool[0]).first().author  # type: ignore[union-attr]
        elif part == "reaction":
            pool[0].reactions.create(author=bob, emoji="+1")
        else:
            Practice.objects.create(person=bob, message=pool[0], work=Work.LABEL_INITIAL_PROMPT, compared=1, agreed=1)
        assert take(with_history(bob)).check_kind == ""
        assert take(with_history(new_person("Other"))).check_kind == "gold"

    @pytest.mark.parametrize("change", ["deleted", "hidden", "withdrawn", "stopped", "edited", "reopened", "ended"])
    def test_only_what_still_stands(self, pool: list[Message], bob: User, boss: User, change: str) -> None:
        keep_only(pool[0])
        rows = Message.objects.filter(pk=pool[0].pk)
        if change == "stopped":
            moderator_actions.halt(tree_id=pool[0].tree_id, actor=boss, reason="Why.", policy=GOLD)
        elif change == "edited":
            moderator_actions.edit_message(
                message_id=pool[0].pk, actor=boss, text="Now so.", reason="Why.", policy=GOLD
            )
        elif change == "reopened":
            rows.update(review_result=None)
        elif change == "ended":
            gold.unmark(message_id=pool[0].pk, actor=boss, reason="No.", policy=GOLD)
        else:
            rows.update(**{change: True})
        assert take(with_history(bob)).check_kind == ""

    @pytest.mark.parametrize("change", [{"deleted": True}, {"review_result": False}, {"review_result": None}])
    def test_no_reply_below_what_no_longer_stands(self, bob: User, boss: User, change: dict[str, Any]) -> None:
        """Nobody is asked to review such a reply, and API clients cannot be given it: they would get no work at all."""
        reply = new_reply(growing_tree(new_person("Writer")), new_person("Helper"))
        decide(reply)
        new_reply(growing_tree(new_person("Other")), new_person("Second"))
        gold.mark(message_id=reply.pk, actor=boss, reason="Surely right.", policy=GOLD)
        one = replace(GOLD, check_least_pool=1)
        measure(one)
        assert take(with_history(new_person("First")), one, Kind.LABEL_ASSISTANT_REPLY).message == reply
        Message.objects.filter(pk=reply.parent_id).update(**change)
        assert take(with_history(bob), one, Kind.LABEL_ASSISTANT_REPLY).check_kind == ""
        measure(one)
        assert Capacity.objects.get(lang="en").checked_kinds == []

    def test_none_for_everybodys_tasks(self, pool: list[Message], bob: User) -> None:
        assert take(with_history(bob), collective=True).check_kind == ""

    def test_bad_messages_by_the_other_side_of_the_coin(
        self, pool: list[Message], bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rolls = iter([0.0, 0.9, 0.9, 0.0])  # a check, no repeat, a bad one, from the start
        monkeypatch.setattr(checks, "random", SimpleNamespace(random=lambda: next(rolls)))
        GoldMessage.objects.filter(message=pool[1]).update(good=False)
        Message.objects.filter(pk=pool[1].pk).update(review_result=False)
        assert take(with_history(bob), replace(GOLD, check_repeats=0.5)).message == pool[1]

    def test_a_good_one_where_there_is_no_bad_one(
        self, pool: list[Message], bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rolls = iter([0.0, 0.9, 0.9, 0.0])
        monkeypatch.setattr(checks, "random", SimpleNamespace(random=lambda: next(rolls)))
        assert take(with_history(bob), replace(GOLD, check_repeats=0.5)).message in pool


def total_of(person: User | None) -> Counter[str]:
    assert person is not None
    return own_counts(person, frames=[Frame.TOTAL])[Frame.TOTAL]


def keep_only(message: Message) -> None:
    GoldMessage.objects.exclude(message=message).delete()


class TestCost:
    def statements(self, person: User, policy: TreePolicy = GOLD) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            take(person, policy)
        return [query["sql"] for query in captured.captured_queries]

    def test_none_on_a_young_site(self, pool: list[Message], bob: User) -> None:
        """Not even the dice matter: the request reads anyway whether the language has enough gold messages."""
        GoldMessage.objects.all()[:2][0].delete()
        GoldMessage.objects.all()[:1][0].delete()
        measure()
        assert Capacity.objects.get().checked_kinds == []
        assert not any("goldmessage" in sql for sql in self.statements(with_history(bob)))

    def test_as_many_statements_as_any_task_and_one_more_if_none_fits(self, pool: list[Message], bob: User) -> None:
        with_history(bob)
        plain = len(self.statements(with_history(new_person("Other")), replace(GOLD, check_share=0)))
        assert len(self.statements(bob)) == plain
        assert len(self.statements(new_person("Newcomer"))) == plain + 1

    def test_it_reads_no_more_with_more_reviews_and_gold(self, pool: list[Message], bob: User) -> None:
        with_history(bob, 200)
        few = len(self.statements(bob))
        assert few == len(self.statements(with_history(new_person("Dora"))))

    def test_the_pool_is_measured_by_language_and_kind(self, pool: list[Message]) -> None:
        assert Capacity.objects.get(lang="en").checked_kinds == [KIND.value]
        with CaptureQueriesContext(connection) as captured:
            checks.measure(GOLD)
        assert len(captured) == 1
        capacity.measure()
        assert Capacity.objects.get(lang="en").checked_kinds == [KIND.value]
        Message.objects.filter(pk__in=[one.pk for one in pool[:2]]).update(hidden=True)
        checks.measure(GOLD)
        assert Capacity.objects.get(lang="en").checked_kinds == []


class TestAnswering:
    def test_no_tree_changes(self, pool: list[Message], bob: User) -> None:
        task = take(with_history(bob))
        assert task.message_id is not None
        before = everything_about(task.message_id)
        done = judge(task, spam=1)
        assert everything_about(task.message_id) == before
        assert done.result_review is not None and done.result_review.kind == "gold"
        assert done.result_review.labels == {"spam": 1}
        assert not Review.objects.filter(pk=done.result_review.pk).exists()

    def test_points_are_those_of_any_review(self, pool: list[Message], alice: User, bob: User) -> None:
        """At once and when they are counted: they do not tell either."""
        tallies.read_outbox()
        before = total_of(pool[0].author)
        judge(take(with_history(bob)))
        plain = replace(GOLD, check_share=0)
        ordinary = judge(take(alice, plain), plain)
        assert ordinary.message is not None
        Review.objects.filter(message__lang="eo").delete()
        assert (total_of(bob)["labels_full"], total_of(alice)["labels_full"]) == (1, 1)
        decide(ordinary.message)
        tallies.read_outbox()
        assert +total_of(bob) == +total_of(alice)
        assert total_of(bob)["reviews_agreed"] == 1
        assert total_of(pool[0].author) == before

    def test_it_counts_among_the_persons_reviews(self, pool: list[Message], bob: User) -> None:
        before = contribution_counts(with_history(bob)).reviews
        judge(take(bob))
        assert contribution_counts(bob).reviews == before + 1

    def test_nothing_is_said_of_the_author(self, pool: list[Message], bob: User) -> None:
        """Labels against a text count for the moderators' board; those of a check do not."""
        task = take(with_history(bob))
        judge(task, spam=1)
        assert task.message is not None
        ((_, credits),) = credits_of([task.message.tree_id]).values()
        assert "spam" not in {credit.kind for credit in credits}

    def test_twice_is_once(self, pool: list[Message], bob: User) -> None:
        task = take(with_history(bob))
        assert judge(task).result_review_id == judge(task).result_review_id
        with pytest.raises(Conflict) as refusal:
            judge(task, spam=1)
        assert refusal.value.code == "task_done"
        assert Review.by_author.filter(kind="gold").count() == 1

    def test_the_hold_is_extended_like_any_other(self, pool: list[Message], bob: User) -> None:
        task = take(with_history(bob))
        before = task.check_held_until
        assert before is not None
        assignment.extend_lease(task_id=task.pk, user=bob)
        task.refresh_from_db()
        assert task.check_held_until is not None and task.check_held_until > before
        Task.objects.filter(pk=task.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        with pytest.raises(Gone):
            assignment.extend_lease(task_id=task.pk, user=bob)

    def test_skipping_leaves_no_trace_at_the_message(self, pool: list[Message], bob: User) -> None:
        with_history(bob, 30)
        for leave in (
            lambda task: assignment.skip(task_id=task.pk, user=bob, policy=GOLD, reason="unclear"),
            lambda task: assignment.withdraw(task, GOLD),
        ):
            task = take(bob)
            assert task.check_kind == "gold" and task.message_id is not None
            before = everything_about(task.message_id)
            leave(task)
            assert everything_about(task.message_id) == before

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ("withdrawn", "message_deleted"),
            ("hidden", "message_hidden"),
            ("deleted", "message_deleted"),
            ("stopped", "tree_stopped"),
            ("edited", "text_changed"),
            ("over", "task_expired"),
        ],
    )
    def test_refused_like_any_other(self, pool: list[Message], bob: User, boss: User, change: str, code: str) -> None:
        task = take(with_history(bob))
        assert task.message is not None and task.message.author is not None
        about: dict[str, Any] = {"message_id": task.message_id}
        if change == "withdrawn":
            withdrawal.withdraw(author=task.message.author, policy=GOLD, **about)
        elif change == "hidden":
            Message.objects.filter(pk=task.message_id).update(hidden=True)
        elif change == "deleted":
            delete(task.message)
        elif change == "stopped":
            moderator_actions.halt(tree_id=task.message.tree_id, actor=boss, reason="Why.", policy=GOLD)
        elif change == "edited":
            moderator_actions.edit_message(actor=boss, text="Now so.", reason="Why.", policy=GOLD, **about)
        else:
            Task.objects.filter(pk=task.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        with pytest.raises(DomainError) as refusal:
            judge(task)
        assert refusal.value.code == code
        assert not Review.by_author.filter(kind="gold").exists()

    def test_ended_while_it_is_out(self, pool: list[Message], bob: User, boss: User) -> None:
        """Its user learns nothing of that: the answer is taken, and counts for nothing."""
        task = take(with_history(bob))
        gold.unmark(message_id=task.message_id, actor=boss, reason="It is not clear.", policy=GOLD)  # type: ignore[arg-type]
        assert judge(task).status == Task.Status.DONE
        reviewers.learn()
        assert not ReviewerRecord.objects.exclude(good_kept=0).exists()

    def test_rejected_prompts_can_be_gold(self, pool: list[Message], bob: User, boss: User) -> None:
        junk = new_prompt(new_person("Junk"))
        decide(junk, accept=False)
        assert state_of(junk) == "aborted_low_grade"
        gold.mark(message_id=junk.pk, actor=boss, reason="Junk.", policy=GOLD)
        task = take(with_history(bob))
        Task.objects.filter(pk=task.pk).update(message=junk, revision_ids=[junk.revision_id])
        assert judge(Task.objects.get(pk=task.pk), spam=1).result_review.kind == "gold"  # type: ignore[union-attr]


class TestRepeats:
    @pytest.fixture
    def old(self, pool: list[Message], bob: User) -> Review:
        """A review that Bob gave long ago."""
        one = Review.objects.create(
            message=pool[0], revision_id=pool[0].revision_id, author=with_history(bob), labels={"spam": 0}
        )
        Review.objects.filter(pk=one.pk).update(created_at=timezone.now() - timedelta(days=200))
        return one

    def test_an_old_one_comes_again(self, old: Review, bob: User) -> None:
        task = take(bob, REPEAT)
        assert (task.message_id, task.check_kind) == (old.message_id, "repeat")
        before = everything_about(old.message_id)
        assert judge(task, REPEAT).result_review.kind == "repeat"  # type: ignore[union-attr]
        assert everything_about(old.message_id) == before
        assert take(with_history(bob, 30), REPEAT).check_kind == "", "once is enough"

    @pytest.mark.parametrize("change", ["young", "edited", "undecided", "set aside"])
    def test_only_what_can_be_compared(self, old: Review, bob: User, boss: User, change: str) -> None:
        if change == "young":
            Review.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=80))
        elif change == "edited":
            moderator_actions.edit_message(
                message_id=old.message_id, actor=boss, text="Now so.", reason="Why.", policy=GOLD
            )
        elif change == "undecided":
            Message.objects.filter(pk=old.message_id).update(review_result=None)
        else:
            purge = Purge.objects.create(person=bob, actor=boss, reason="Junk.")
            Review.objects.filter(pk=old.pk).update(set_aside=purge)
        assert take(bob, REPEAT).check_kind == ""

    def test_other_kinds_of_review_do_not_find_it(self, old: Review, bob: User) -> None:
        task = Task(user=bob, kind=Kind.LABEL_ASSISTANT_REPLY.value, lang="en", created_at=timezone.now())
        supply = Supply(REPEAT, checked_kinds=frozenset({Kind.LABEL_ASSISTANT_REPLY.value}))
        assert checks.draw(task, timezone.now(), supply, REPEAT) is None


class TestPages:
    def test_the_page_and_what_follows_are_the_same(self, pool: list[Message], alice: User, bob: User) -> None:
        """The page of a check differs from that of an ordinary task only in what it is about."""
        pages = []
        for person, policy in ((bob, GOLD), (alice, replace(GOLD, check_share=0))):
            client = Client()
            client.force_login(person)
            task = take(with_history(person), policy)
            text = client.get(reverse("task", args=[task.pk])).text
            assert client.post(reverse("task_lease", args=[task.pk])).status_code == 204
            assert task.message is not None
            for own in (
                task.message.text,
                rendering.render(task.message.text).strip(),
                str(person),
                f">{str(person)[0]}<",
            ):
                text = text.replace(own, "·")
            text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|<time.*?</time>|\d\d:\d\d", "·", text)
            lines = [line.strip() for line in text.splitlines()]
            pages.append([line for line in lines if line and "csrf" not in line and "nonce" not in line])
        differing = [*difflib.unified_diff(*pages, lineterm="", n=0)]
        assert "\n".join(differing) == ""

    def test_sending_leads_on(self, pool: list[Message], bob: User) -> None:
        client = Client()
        client.force_login(bob)
        task = take(with_history(bob))
        response = client.post(reverse("task", args=[task.pk]), {"spam": "0"})
        assert response.status_code == 302
        assert Review.by_author.get(kind="gold").author == bob


class TestPeople:
    def test_merging_and_purging_take_checks_along(self, pool: list[Message], bob: User) -> None:
        judge(take(with_history(bob)))
        destination = new_person("Destination")
        merging.merge_users(destination_id=destination.pk, source_ids=[bob.pk])
        checked = Review.by_author.get(kind="gold")
        assert checked.author == destination
        assert Task.objects.get(result_review=checked).user == destination


def test_all_counts_still_agree(bob: User, boss: User) -> None:
    """With everything made by tasks, as on a site."""
    plain = replace(GOLD, check_share=0)
    work_until(start_tree(plain), State.PROMPT_LOTTERY_WAITING, plain)
    prompt = Message.objects.get()
    gold.mark(message_id=prompt.pk, actor=boss, reason="Right.", policy=GOLD)
    people = new_people(15)
    for author in people[:15]:
        start_tree(plain, author)
    for _ in range(14):
        answer(take(bob, plain), plain)
    measure()
    Capacity.objects.update(checked_kinds=[KIND.value])
    task = take(bob)
    assert task.check_kind == "gold"
    judge(task, spam=1)
    skipped = take(bob)
    assignment.skip(task_id=skipped.pk, user=bob, policy=GOLD)
    while tallies.read_outbox():
        pass
    assert list(find_differences(GOLD)) == []
