"""An answer is taken back right after it was sent: everything is as before, and the answer is in the form again."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import Sum
from django.test import Client
from django.urls import reverse

from leaderboard.models import Standing, Tally
from leaderboard.points import COUNTERS
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, Gone, NotFound
from oasst.site.invariants import find_differences
from oasst.site.own_data.contents import PARTS
from tasks import assignment, drafts, lottery, submission
from tasks.forms import is_short
from tasks.kinds import Kind
from tasks.models import Draft, Task
from tasks.undo import TAKEN_FOR, undo_answer
from tests.clock import stopped_clock
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people, new_person
from tests.leaderboard.test_tallies import read_all
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Ranking, Review, Withdrawal
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
TREE_POLICY = {"goal_tree_size": 4, "max_tree_depth": 1, "num_required_rankings": 2, "max_active_trees": 100}
POLICY = TreePolicy(**TREE_POLICY)


@pytest.fixture(autouse=True)
def _everything_agrees(db: None) -> Iterator[None]:
    yield
    read_all()
    assert list(find_differences(POLICY)) == []


def picture(tree_id: UUID) -> dict[str, Any]:
    """Return everything about a tree and all scores that an answer could have changed."""
    read_all()
    shown = Message.objects.filter(tree=tree_id, deleted=False).order_by("pk")
    scores = Tally.objects.values("person", "lang", "kind").annotate(sum=Sum("number")).exclude(sum=0)
    return {
        "tree": MessageTree.objects.filter(pk=tree_id).values("state", "halted_from", "won_prompt_lottery_at").first(),
        "messages": list(
            shown.values("pk", "review_count", "review_result", "ranking_count", "rank", "emojis", "hidden")
        ),
        "openings": sorted(
            Opening.objects.filter(tree=tree_id).values_list("message", "work", "priority", "holder", "lease"), key=str
        ),
        "judgments": (Review.objects.count(), Ranking.objects.count()),
        "scores": sorted(map(str, scores.values_list("person", "lang", "kind", "sum"))),
        "boards": [row for row in map(counted, Standing.objects.order_by("pk").values()) if row["counts"]],
    }


def counted(row: dict[str, Any]) -> dict[str, Any]:
    counts = {name: row[name] for name in COUNTERS if row[name]}
    return {"frame": row["frame"], "lang": row["lang"], "person": row["person_id"], "counts": counts}


def growing() -> MessageTree:
    return work_until(start_tree(POLICY), State.GROWING, POLICY)


def review_until_the_last(tree: MessageTree, kind: Kind) -> Task:
    """Let people review until one more review decides; return the task of the one who gives it."""
    for person in new_people(10):
        task = take(person, POLICY, kind)
        if Opening.objects.filter(tree=tree, work=kind.value, message=task.message).count() == 1:
            return task
        answer(task, POLICY)
    raise AssertionError("nothing decides")


def last_ranking() -> Task:
    """Return the task of the person whose ranking finishes a tree."""
    tree = work_until(growing(), State.RANKING, POLICY)
    people = new_people(3)
    while True:
        task = take(people.pop(), POLICY, Kind.RANK_ASSISTANT_REPLIES)
        if Opening.objects.filter(tree=tree).count() == 1:
            return task
        answer(task, POLICY)


def a_reply() -> Task:
    growing()
    return take(new_person("Writer"), POLICY, Kind.ASSISTANT_REPLY)


def first_review() -> Task:
    start_tree(POLICY)
    return take(new_person("Reader"), POLICY, Kind.LABEL_INITIAL_PROMPT)


def deciding_review() -> Task:
    return review_until_the_last(start_tree(POLICY), Kind.LABEL_INITIAL_PROMPT)


def deciding_review_of_a_reply() -> Task:
    tree = growing()
    answer(take(new_person("Writer"), POLICY, Kind.ASSISTANT_REPLY), POLICY)
    return review_until_the_last(tree, Kind.LABEL_ASSISTANT_REPLY)


def first_ranking() -> Task:
    work_until(growing(), State.RANKING, POLICY)
    return take(new_person("Ranker"), POLICY, Kind.RANK_ASSISTANT_REPLIES)


@pytest.mark.parametrize("spam", [0, 1])
@pytest.mark.parametrize(
    "begin", [a_reply, first_review, deciding_review, deciding_review_of_a_reply, first_ranking, last_ranking]
)
def test_everything_is_as_before_and_it_can_be_sent_again(begin: Any, spam: int) -> None:
    task = begin()
    tree_id = task.message.tree_id
    before = picture(tree_id)
    answer(task, POLICY, spam=spam)
    sent = picture(tree_id)
    assert sent != before

    undone = undo_answer(task_id=task.pk, user=task.user, policy=POLICY)

    assert picture(tree_id) == before
    assert (undone.status, undone.finished_at, undone.answer_digest) == (Task.Status.OPEN, None, "")
    assert list(find_differences(POLICY)) == []
    answer(task, POLICY, spam=spam)
    assert picture(tree_id)["tree"]["state"] == sent["tree"]["state"]


def test_a_first_prompt_is_withdrawn_with_its_tree() -> None:
    task = take(new_person("Writer"), POLICY, Kind.INITIAL_PROMPT)
    done = answer(task, POLICY)
    assert done.result_message is not None
    undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    message = Message.objects.get()
    assert (message.deleted, message.withdrawn) == (True, True)
    assert Withdrawal.objects.get().status == Withdrawal.Status.GRANTED
    assert Opening.objects.count() == 0
    read_all()
    assert not Tally.objects.exclude(number=0).exists()
    # The very same text may be sent again.
    from tasks import submission

    again = submission.submit_text(task_id=task.pk, user=task.user, text=message.text, policy=POLICY)
    assert again.result_message != message


def test_a_review_that_let_a_prompt_win_the_draw() -> None:
    task = deciding_review()
    assert task.message is not None
    before = picture(task.message.tree_id)
    answer(task, POLICY)
    lottery.draw("en", POLICY)
    assert MessageTree.objects.get().state == State.GROWING
    undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    assert picture(task.message.tree_id) == before


class TestTheNextTask:
    def test_it_is_given_back(self) -> None:
        start_tree(POLICY)
        task = first_review()
        answer(task, POLICY)
        following = take(task.user, POLICY, Kind.LABEL_INITIAL_PROMPT)
        undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
        following.refresh_from_db()
        assert following.status == Task.Status.EXPIRED
        assert list(Opening.objects.exclude(lease=None).values_list("lease", flat=True)) == [task.pk]

    def test_not_if_something_was_written_for_it(self) -> None:
        task = first_review()
        answer(task, POLICY)
        following = take(task.user, POLICY, Kind.INITIAL_PROMPT)
        drafts.save_draft(task_id=following.pk, user=task.user, body={"text": "I begin"})
        undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
        following.refresh_from_db()
        assert following.status == Task.Status.OPEN

    def test_one_that_depends_on_the_answer(self) -> None:
        """The reviewer accepts a prompt, and is asked to answer it at once."""
        task = deciding_review()
        assert task.message is not None
        before = picture(task.message.tree_id)
        answer(task, POLICY)
        take(task.user, POLICY, Kind.ASSISTANT_REPLY)
        undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
        assert picture(task.message.tree_id) == before


class TestRefusals:
    def refused(self, task: Task, user: User | None = None, kind: type[DomainError] = Conflict) -> str:
        before = Task.objects.values().get(pk=task.pk)
        with pytest.raises(kind) as error:
            undo_answer(task_id=task.pk, user=user or task.user, policy=POLICY)
        assert Task.objects.values().get(pk=task.pk) == before
        return error.value.code

    def test_somebody_reads_it(self) -> None:
        task = a_reply()
        answer(task, POLICY)
        take(new_person("Reader"), POLICY, Kind.LABEL_ASSISTANT_REPLY)
        assert self.refused(task) == "built_on"

    def test_somebody_judged_it(self) -> None:
        task = a_reply()
        answer(task, POLICY)
        answer(take(new_person("Reader"), POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY)
        assert self.refused(task) == "built_on"

    def test_somebody_answers_what_the_review_accepted(self) -> None:
        task = deciding_review()
        answer(task, POLICY)
        lottery.draw("en", POLICY)
        take(new_person("Writer"), POLICY, Kind.ASSISTANT_REPLY)
        assert self.refused(task) == "built_on"

    def test_others_decided_with_it(self) -> None:
        tree = start_tree(POLICY)
        task = take(new_person("Reader"), POLICY, Kind.LABEL_INITIAL_PROMPT)
        answer(task, POLICY)
        work_until(tree, State.PROMPT_LOTTERY_WAITING, POLICY)
        assert self.refused(task) == "built_on"

    def test_others_finished_the_tree_with_it(self) -> None:
        task = first_ranking()
        answer(task, POLICY)
        assert task.message is not None
        work_until(task.message.tree, State.READY_FOR_EXPORT, POLICY)
        assert self.refused(task) == "built_on"

    def test_a_moderator_stopped_the_tree(self, mo: User) -> None:
        task = first_review()
        answer(task, POLICY)
        assert task.message is not None
        moderator_actions.halt(tree_id=task.message.tree_id, actor=mo, reason="I look at it.", policy=POLICY)
        assert self.refused(task) == "built_on"

    @pytest.mark.parametrize("begin", [first_review, deciding_review, first_ranking])
    @pytest.mark.parametrize("reason", [transitions.AUTHOR_BANNED, transitions.TOO_MANY_FLAGS, "A program stopped it."])
    def test_the_tree_was_halted_by_nobody_in_person(self, begin: Any, reason: str) -> None:
        task = begin()
        answer(task, POLICY)
        locked = lock_tree(task.message.tree_id, POLICY)
        transitions.halt(locked, reason=reason)
        transitions.advance(locked)
        assert self.refused(task) == "built_on"
        assert MessageTree.objects.get(pk=task.message.tree_id).state == State.HALTED_BY_MODERATOR
        # Without a cause behind it, such a halt would be found as wrong.
        moderator_actions.resume(
            tree_id=task.message.tree_id, actor=new_person("Mo", "moderator"), reason="Seen.", policy=POLICY
        )

    def test_too_late(self) -> None:
        task = first_review()
        with stopped_clock() as clock:
            clock.forward(-TAKEN_FOR - timedelta(seconds=1))
            answer(task, POLICY)
        assert self.refused(task, kind=Gone) == "undo_over"

    def test_of_somebody_else(self, eve: User) -> None:
        task = first_review()
        answer(task, POLICY)
        assert self.refused(task, eve, NotFound) == "task_not_found"

    def test_a_skipped_task(self) -> None:
        task = first_review()
        assignment.skip(task_id=task.pk, user=task.user, policy=POLICY)
        assert self.refused(task, kind=Gone) == "undo_over"


def test_others_may_review_the_same_message_meanwhile() -> None:
    tree = start_tree(POLICY)
    task = take(new_person("Reader"), POLICY, Kind.LABEL_INITIAL_PROMPT)
    answer(task, POLICY, spam=1)
    answer(take(new_person("Other"), POLICY, Kind.LABEL_INITIAL_PROMPT), POLICY)
    undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    assert Message.objects.get(pk=tree.pk).review_count == 1
    assert Opening.objects.filter(lease=task.pk).count() == 1


def test_undoing_twice_is_one_undo() -> None:
    task = first_review()
    answer(task, POLICY)
    for _ in range(2):
        undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    assert Review.objects.count() == 0


def test_ranks_of_an_earlier_ranking_return() -> None:
    """A tree whose ranks were computed before, and which more rankings were wanted for."""
    task = last_ranking()
    replies = list(Message.objects.filter(pk__in=task.reply_ids).order_by("-pk"))
    for rank, reply in enumerate(replies):
        Message.objects.filter(pk=reply.pk).update(rank=rank)
    assert task.message is not None
    before = picture(task.message.tree_id)
    answer(task, POLICY)
    undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    assert picture(task.message.tree_id) == before
    Message.objects.update(rank=None)


class TestPage:
    """What a person sees."""

    def send(self, client: Client, task: Task, data: dict[str, str]) -> str:
        return client.post(reverse("task", args=[task.pk]), data, follow=True).text

    def test_points_and_an_undo_that_leads_back_to_the_form(self, settings: Any) -> None:
        settings.TREE_POLICY = TREE_POLICY
        task = a_reply()
        client = Client()
        client.force_login(task.user)
        page = self.send(client, task, {"text": "A reply that is long enough to be one."})
        assert "Stored. +4 points." in page and reverse("task_undo", args=[task.pk]) in page
        back = client.post(reverse("task_undo", args=[task.pk]), follow=True)
        assert back.redirect_chain == [(reverse("task", args=[task.pk]), 302)]
        assert "Taken back." in back.text and "A reply that is long enough to be one." in back.text
        assert reverse("task_undo", args=[task.pk]) not in back.text

    @pytest.mark.parametrize("begin", [first_review, first_ranking])
    def test_the_form_has_the_answers(self, begin: Any, settings: Any) -> None:
        settings.TREE_POLICY = TREE_POLICY
        task = begin()
        client = Client()
        client.force_login(task.user)
        places = list(reversed(task.reply_ids))
        data = {f"rank_{pk}": str(place) for place, pk in enumerate(places, start=1)} | {"not_rankable": "on"}
        self.send(client, task, data if places else {"spam": "0", "quality": "0.75"} | {"pii": "1"})
        client.post(reverse("task_undo", args=[task.pk]))
        kept = Draft.objects.get(task=task).body
        assert kept == (data if places else kept | {"spam": "0"})
        page = client.get(reverse("task", args=[task.pk])).text
        assert page.count("checked") >= 1

    def test_the_next_task_has_the_focus_on_its_heading(self, settings: Any) -> None:
        settings.TREE_POLICY = TREE_POLICY
        start_tree(POLICY)
        task = first_review()
        client = Client()
        client.force_login(task.user)
        page = self.send(client, task, {"spam": "0"})
        assert '<h1 tabindex="-1" autofocus>Check an opener</h1>' in page and "task-head--known" in page

    def test_too_late_is_said(self) -> None:
        task = first_review()
        with stopped_clock() as clock:
            clock.forward(-TAKEN_FOR - timedelta(seconds=1))
            answer(task, POLICY)
        client = Client()
        client.force_login(task.user)
        page = client.post(reverse("task_undo", args=[task.pk]), follow=True).text
        assert "can be taken back only right after" in page

    def test_a_page_that_is_sent_again_after_an_undo_leads_to_another_task(self) -> None:
        first_review()
        start_tree(POLICY)
        task = first_review()
        client = Client()
        client.force_login(task.user)
        url = reverse("task", args=[task.pk])
        first = client.post(url, {"spam": "0"}).headers["Location"]
        client.post(reverse("task_undo", args=[task.pk]))
        second = client.post(url, {"spam": "0"}).headers["Location"]
        assert first != second
        assert Task.objects.get(pk=second.rstrip("/").rsplit("/", 1)[-1]).status == Task.Status.OPEN


def test_a_check_is_undone_like_any_review() -> None:
    """Reviews that only say how their author reviews must not be told apart by this."""
    task = first_review()
    assert task.message is not None
    Opening.objects.filter(lease=task.pk).update(holder=None, lease=None, held_until=None)
    Task.objects.filter(pk=task.pk).update(check_kind=Review.Kind.GOLD)
    before = picture(task.message.tree_id)
    answer(task, POLICY)
    undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    assert picture(task.message.tree_id) == before
    assert not Review.by_author.exists() and not Review.objects.exists()
    assert [row for part in PARTS if part.name == "reviews" for row in part.rows(task.user)] == []


def test_the_first_answer_to_a_check_counts() -> None:
    """Whoever takes it back may have looked the message up before answering again, or give the task back."""
    task = first_review()
    Opening.objects.filter(lease=task.pk).update(holder=None, lease=None, held_until=None)
    Task.objects.filter(pk=task.pk).update(check_kind=Review.Kind.GOLD)
    for labels in ({"spam": 1.0}, {"spam": 0.0}, {"spam": 0.0}):
        submission.submit_labels(task_id=task.pk, user=task.user, labels=labels, policy=POLICY)
        undo_answer(task_id=task.pk, user=task.user, policy=POLICY)
    submission.submit_labels(task_id=task.pk, user=task.user, labels={"spam": 0.0}, policy=POLICY)
    (shown,) = Review.by_author.filter(author=task.user)
    assert shown.labels["spam"] == 0.0 and shown.kind == Review.Kind.GOLD
    (counted,) = Review.first_answers(Review.Kind.GOLD)
    assert counted.labels["spam"] == 1.0 and counted.author == task.user


@pytest.mark.parametrize(
    ("text", "asks"), [("Yes.", True), ("Because they must.  ", True), ("Weil sie es müssen, darum.", False)]
)
def test_a_very_short_reply_is_asked_about_once(text: str, asks: bool, settings: Any) -> None:
    settings.TREE_POLICY = TREE_POLICY
    task = a_reply()
    client = Client()
    client.force_login(task.user)
    url = reverse("task", args=[task.pk])
    answered = client.post(url, {"text": text})
    if asks:
        assert answered.status_code == 422 and "Your reply is very short." in answered.text
        assert not Message.objects.filter(author=task.user).exists()
        answered = client.post(url, {"text": text, "short_seen": "1"})
    assert answered.status_code == 302
    assert Message.objects.get(author=task.user).text == text.strip()


def test_signs_that_stand_for_words_are_not_short() -> None:
    assert is_short("因为它们必须") and not is_short("因为它们必须这样做")


class TestChangingAReview:
    """A reviewer corrects their own review while nothing is decided."""

    def change(self, user: User, review: Review, **labels: str) -> Any:
        client = Client()
        client.force_login(user)
        return client.post(reverse("review_change", args=[review.pk]), labels, follow=True)

    def test_the_form_has_the_answers_and_stores_others(self, settings: Any) -> None:
        settings.TREE_POLICY = TREE_POLICY
        task = first_review()
        done = answer(task, POLICY, spam=1)
        assert done.result_review is not None
        client = Client()
        client.force_login(task.user)
        assert reverse("review_change", args=[done.result_review.pk]) in client.get(reverse("contributions")).text
        page = client.get(reverse("review_change", args=[done.result_review.pk])).text
        assert 'value="1" id="id_spam" data-testid="yes" checked' in page
        assert "Changed." in self.change(task.user, done.result_review, spam="0", quality="0.75").text
        review = Review.objects.get()
        assert (review.labels["spam"], review.labels["quality"], Message.objects.get().review_count) == (0, 0.75, 1)

    def test_it_may_decide(self, settings: Any) -> None:
        settings.TREE_POLICY = TREE_POLICY
        tree = start_tree(POLICY)
        first = answer(take(new_person("Reader"), POLICY, Kind.LABEL_INITIAL_PROMPT), POLICY, spam=1)
        answer(take(new_person("Other"), POLICY, Kind.LABEL_INITIAL_PROMPT), POLICY)
        assert first.result_review is not None
        self.change(first.user, first.result_review, spam="0")
        tree.refresh_from_db()
        assert tree.state == State.PROMPT_LOTTERY_WAITING

    def test_not_after_the_decision_and_not_by_others(self, settings: Any, eve: User) -> None:
        settings.TREE_POLICY = TREE_POLICY
        task = deciding_review()
        done = answer(task, POLICY)
        assert done.result_review is not None
        assert "It is decided already" in self.change(task.user, done.result_review, spam="1").text
        assert self.change(eve, done.result_review, spam="1").status_code == 404
        done.result_review.refresh_from_db()
        assert done.result_review.labels["spam"] == 0

    def test_what_is_wrong_is_said_and_nothing_changes(self, settings: Any) -> None:
        settings.TREE_POLICY = TREE_POLICY
        task = first_review()
        done = answer(task, POLICY)
        assert done.result_review is not None
        assert self.change(task.user, done.result_review, quality="7").status_code == 422
        assert Review.objects.get().labels == {"spam": 0}
