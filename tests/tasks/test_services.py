"""Handing out work and taking answers: who gets what, holds, repeats, refusals, costs."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Busy, Conflict, DomainError, Gone, Invalid, NotAllowed, NotFound
from tasks import assignment, drafts, queries, submission, upkeep
from tasks.kinds import Kind
from tasks.models import Draft, Task
from tests.clock import stopped_clock
from tests.factories import decide, growing_tree, new_people, new_person, new_prompt, work_until_state
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Ranking, Review, Skip

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()


def take(person: User, kind: Kind | None = None, lang: str = "en", **kwargs: object) -> Task:
    return assignment.request_task(user=person, lang=lang, kind=kind, policy=POLICY, **kwargs)  # type: ignore[arg-type]


def answer(task: Task, person: User, text: str = "An answer that nobody gave before.") -> Task:
    return submission.submit_text(task_id=task.pk, user=person, text=text, policy=POLICY)


def judge(task: Task, person: User, **labels: float) -> Task:
    return submission.submit_labels(task_id=task.pk, user=person, labels={"spam": 0, **labels}, policy=POLICY)


def _some_kind(person: User) -> Kind:
    """Return any available kind except a prompt."""
    open_now = [kind for kind, number in queries.availability(person, "en", POLICY).items() if number]
    return next((kind for kind in open_now if kind != Kind.INITIAL_PROMPT), Kind.LABEL_INITIAL_PROMPT)


class TestFullPath:
    def test_it_works(self, alice: User, bob: User, carol: User) -> None:
        """Alice writes a prompt; others review it, answer it and rank the answers; the tree is finished."""
        opened = answer(take(alice, Kind.INITIAL_PROMPT), alice, "How do plants drink?")
        assert opened.result_message is not None
        tree_id = opened.result_message.tree_id
        crowd = [alice, bob, carol, *new_people(4)]
        for _ in range(300):
            if MessageTree.objects.get(pk=tree_id).state == State.READY_FOR_EXPORT:
                break
            for person in crowd:
                try:
                    task = take(person, _some_kind(person))
                except (assignment.NothingToDo, Busy):
                    continue
                if task.kind.startswith("label"):
                    judge(task, person)
                elif task.kind.startswith("rank"):
                    submission.submit_ranking(task_id=task.pk, user=person, ordered_ids=task.reply_ids, policy=POLICY)
                else:
                    answer(task, person, f"Text {uuid4()}")
        assert MessageTree.objects.get(pk=tree_id).state == State.READY_FOR_EXPORT


class TestHandingOut:
    def test_nobody_gets_their_own_message_to_judge(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        with pytest.raises(assignment.NothingToDo) as refusal:
            take(alice, Kind.LABEL_INITIAL_PROMPT)
        assert refusal.value.details["nothing"].title == "Nothing else is open for you right now"
        assert take(bob, Kind.LABEL_INITIAL_PROMPT).message is not None

    def test_a_held_place_is_not_given_twice(self, alice: User) -> None:
        prompt = new_prompt(alice)
        people = new_people(3)
        tasks = [take(person, Kind.LABEL_INITIAL_PROMPT) for person in people[:2]]
        assert {task.message_id for task in tasks} == {prompt.pk}
        with pytest.raises(assignment.NothingToDo) as refusal:
            take(people[2], Kind.LABEL_INITIAL_PROMPT)
        assert refusal.value.details["nothing"].title == "Others have taken what is open"

    def test_a_hold_that_ran_out_is_free_again(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        take(new_person("Early"), Kind.LABEL_INITIAL_PROMPT)
        late = take(bob, Kind.LABEL_INITIAL_PROMPT)
        Opening.objects.filter(lease=late.pk).update(held_until=timezone.now() - timedelta(seconds=1))
        taken = take(carol, Kind.LABEL_INITIAL_PROMPT)
        assert taken.message_id == prompt.pk
        with pytest.raises(Gone) as refusal:
            judge(late, bob)
        assert refusal.value.code == "no_place_left"
        assert Review.objects.count() == 0
        judge(taken, carol)
        # Carol's opening is used and the first user still holds theirs: still nothing for Bob.
        with pytest.raises(Gone):
            judge(late, bob)

    def test_a_late_answer_is_taken_while_there_is_a_place(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        late = take(bob, Kind.LABEL_INITIAL_PROMPT)
        Opening.objects.filter(lease=late.pk).update(held_until=timezone.now() - timedelta(seconds=1))
        assert judge(late, bob).status == Task.Status.DONE

    def test_enough_openers_is_said_also_while_there_is_other_work(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        full = TreePolicy(max_active_trees=0, max_initial_prompt_review=1)
        with pytest.raises(assignment.NothingToDo) as refusal:
            assignment.request_task(user=bob, lang="en", kind=Kind.INITIAL_PROMPT, policy=full)
        assert refusal.value.details["nothing"].title == "There are enough prompts for now"
        with pytest.raises(assignment.NothingToDo) as refusal:
            assignment.request_task(user=bob, lang="en", kind=Kind.ASSISTANT_REPLY, policy=full)
        assert refusal.value.details["nothing"].title == "Nothing of this kind is open"
        assert "Start a conversation" not in refusal.value.details["nothing"].unlock

    def test_other_languages_are_other_pools(self, alice: User, bob: User) -> None:
        new_prompt(alice, lang="de")
        with pytest.raises(assignment.NothingToDo):
            take(bob, Kind.LABEL_INITIAL_PROMPT, "en")
        assert take(bob, Kind.LABEL_INITIAL_PROMPT, "DE").lang == "de"

    def test_a_key_makes_the_request_repeatable(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        first = take(bob, None, repeat_key="once")
        again = take(bob, None, repeat_key="once")
        assert first.pk == again.pk
        assert Task.objects.filter(user=bob).count() == 1
        with pytest.raises(Conflict) as refusal:
            take(bob, Kind.ASSISTANT_REPLY, repeat_key="once")
        assert refusal.value.code == "key_reused"

    def test_the_pending_cap(self, bob: User) -> None:
        for _ in range(8):
            take(bob, Kind.INITIAL_PROMPT)
        with pytest.raises(Busy) as refusal:
            take(bob, Kind.INITIAL_PROMPT)
        assert refusal.value.code == "too_many_pending"

    def test_replies_to_rank_come_in_a_fixed_order(self, alice: User, bob: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.RANKING, policy)
        task = take(bob, Kind.RANK_ASSISTANT_REPLIES)
        assert sorted(task.reply_ids) == sorted(Message.objects.filter(parent=prompt).values_list("pk", flat=True))
        assert len(task.revision_ids) == 3

    def test_availability_writes_nothing(self, alice: User, bob: User) -> None:
        decide(new_prompt(alice))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            counts = queries.availability(bob, "en", POLICY)
        assert len(captured) <= 4
        assert counts[Kind.INITIAL_PROMPT] > 0
        assert counts[Kind.ASSISTANT_REPLY] == 1  # the prompt that the next request draws
        assert MessageTree.objects.get().state == State.PROMPT_LOTTERY_WAITING
        assert take(bob, Kind.ASSISTANT_REPLY).message is not None  # asking for work draws the lottery

    def test_banned_people_get_nothing(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        bob.enabled = False
        bob.save()
        with pytest.raises(NotAllowed):
            take(bob)
        assert not Task.objects.exists()


class TestAnswers:
    def test_the_same_answer_twice_is_stored_once(self, alice: User) -> None:
        task = take(alice, Kind.INITIAL_PROMPT)
        first = answer(task, alice, "How do plants drink?")
        again = answer(task, alice, "How do plants drink?")
        assert first.result_message_id == again.result_message_id
        assert Message.objects.count() == 1
        with pytest.raises(Conflict) as refusal:
            answer(task, alice, "Something else")
        assert refusal.value.code == "task_done"

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("", "blank"),
            (" \n\t ", "blank"),
            ("\u200b\u200d", "blank"),
            ("a" * 2001, "too_long"),
            ("bell \x07", "control_characters"),
            ("null \x00", "control_characters"),
            ("half \ud800", "not_text"),
        ],
    )
    def test_bad_texts(self, alice: User, text: str, code: str) -> None:
        task = take(alice, Kind.INITIAL_PROMPT)
        with pytest.raises(Invalid) as refusal:
            answer(task, alice, text)
        assert (refusal.value.code, refusal.value.field) == (code, "text")
        task.refresh_from_db()
        assert task.status == Task.Status.OPEN
        assert not Message.objects.exists()

    def test_a_task_of_somebody_else_does_not_exist(self, alice: User, eve: User) -> None:
        task = take(alice, Kind.INITIAL_PROMPT)
        with pytest.raises(NotFound):
            answer(task, eve)
        with pytest.raises(NotFound):
            assignment.skip(task_id=task.pk, user=eve, policy=POLICY)
        assert not Message.objects.exists()

    def test_the_wrong_kind_of_answer(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        task = take(bob, Kind.LABEL_INITIAL_PROMPT)
        with pytest.raises(Invalid) as refusal:
            answer(task, bob)
        assert refusal.value.code == "wrong_kind"
        assert Message.objects.count() == 1

    def test_an_expired_task(self, alice: User) -> None:
        task = take(alice, Kind.INITIAL_PROMPT)
        Task.objects.update(expires_at=timezone.now())
        with pytest.raises(Gone) as refusal:
            answer(task, alice)
        assert refusal.value.code == "task_expired"
        assert upkeep.expire_tasks(policy=POLICY) == 1
        task.refresh_from_db()
        assert task.status == Task.Status.EXPIRED

    @pytest.mark.parametrize("shape", ["missing", "repeated", "foreign"])
    def test_a_ranking_must_name_each_reply_once(self, alice: User, bob: User, shape: str) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.RANKING, policy)
        task = take(bob, Kind.RANK_ASSISTANT_REPLIES)
        a, b, _ = task.reply_ids
        order = {"missing": [a, b], "repeated": [a, b, b], "foreign": [a, b, prompt.pk]}[shape]
        with pytest.raises(Invalid) as refusal:
            submission.submit_ranking(task_id=task.pk, user=bob, ordered_ids=order, policy=policy)
        assert refusal.value.code == "ranking_incomplete"
        assert not Ranking.objects.exists()
        assert Opening.objects.filter(lease=task.pk).exists()

    def test_a_text_that_was_changed_under_the_reviewer(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        task = take(bob, Kind.LABEL_INITIAL_PROMPT)
        revision = prompt.revisions.create(text="Changed", author=alice)
        Message.objects.filter(pk=prompt.pk).update(revision=revision, text="Changed")
        with pytest.raises(Conflict) as refusal:
            judge(task, bob)
        assert refusal.value.code == "text_changed"


class TestSkip:
    def test_the_place_is_free_and_the_person_is_not_asked_again(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        task = take(bob, Kind.LABEL_INITIAL_PROMPT)
        assignment.skip(task_id=task.pk, user=bob, policy=POLICY, reason="unclear", note="which plants?")
        assert assignment.skip(task_id=task.pk, user=bob, policy=POLICY).status == Task.Status.SKIPPED
        assert Skip.objects.get().reason == "unclear"
        assert Opening.objects.filter(message=prompt, held_until=None).count() == 2
        with pytest.raises(assignment.NothingToDo):
            take(bob, Kind.LABEL_INITIAL_PROMPT)
        with pytest.raises(Gone):
            judge(task, bob)


class TestLease:
    def test_it_is_renewed_while_the_page_is_open(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        task = take(bob, Kind.LABEL_INITIAL_PROMPT)
        Opening.objects.filter(lease=task.pk).update(held_until=timezone.now())
        assignment.extend_lease(task_id=task.pk, user=bob)
        assert Opening.objects.get(lease=task.pk).held_until > timezone.now() + timedelta(minutes=29)
        Opening.objects.filter(lease=task.pk).update(lease=None, holder=None, held_until=None)
        with pytest.raises(Gone) as refusal:
            assignment.extend_lease(task_id=task.pk, user=bob)
        assert refusal.value.code == "lease_lost"

    def test_a_page_left_open_holds_no_place_longer_than_it_can_be_answered(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        with stopped_clock() as clock:
            task = take(bob, Kind.LABEL_INITIAL_PROMPT)
            clock.forward(assignment.VALIDITY - timedelta(minutes=1))
            assignment.extend_lease(task_id=task.pk, user=bob)
            assert Opening.objects.get(lease=task.pk).held_until == task.expires_at
            clock.forward(timedelta(minutes=1))
            with pytest.raises(Gone) as refusal:
                assignment.extend_lease(task_id=task.pk, user=bob)
            assert refusal.value.code == "task_expired"
            assert Opening.objects.get(lease=task.pk).held_until == task.expires_at


class TestDrafts:
    def test_the_latest_is_kept_until_the_answer_is_sent(self, alice: User) -> None:
        task = take(alice, Kind.INITIAL_PROMPT)
        drafts.save_draft(task_id=task.pk, user=alice, body={"text": "one"})
        drafts.save_draft(task_id=task.pk, user=alice, body={"text": "two"})
        drafts.save_draft(task_id=task.pk, user=alice, body={"text": "about \\u0000 in JSON"})
        drafts.save_draft(task_id=task.pk, user=alice, body={"text": "two"})
        assert Draft.objects.get().body == {"text": "two"}
        answer(task, alice)
        upkeep.drop_finished_drafts()
        assert not Draft.objects.exists()

    def test_refusals(self, alice: User, eve: User) -> None:
        task = take(alice, Kind.INITIAL_PROMPT)
        for person, body in (
            (eve, {"text": "mine"}),
            (alice, {"text": "x" * drafts.MAX_DRAFT_BYTES}),
            (alice, {"text": "\0"}),
        ):
            with pytest.raises(DomainError):
                drafts.save_draft(task_id=task.pk, user=person, body=body)
        assert not Draft.objects.exists()


def statements(act: object) -> int:
    with CaptureQueriesContext(connection) as captured:
        act()  # type: ignore[operator]
    # Savepoints take the place of the service's transaction, since a test case wraps it in its own.
    return len([q for q in captured if "SAVEPOINT" not in q["sql"]])


def costs(crowd_of_trees: int) -> dict[str, int]:
    """Count the statements of each service call with this many other trees in the same language."""
    policy = TreePolicy(goal_tree_size=4, max_tree_depth=1, max_active_trees=crowd_of_trees + 100)
    for number in range(crowd_of_trees):
        clone = new_prompt(new_person("Writer"), f"Question {number} {uuid4()}", policy)
        MessageTree.objects.filter(pk=clone.pk).update(state=State.GROWING.value)
        Message.objects.filter(pk=clone.pk).update(review_result=True)
    author, writer, first, second, *rest = new_people(9)
    found = {}

    def step(name: str, act: object) -> None:
        found[name] = statements(act)

    def given(person: User, kind: Kind) -> Task:
        holder: list[Task] = []
        step(
            f"request {kind.value}",
            lambda: holder.append(assignment.request_task(user=person, lang="en", kind=kind, policy=policy)),
        )
        return holder[0]

    Opening.objects.all().delete()
    task = given(author, Kind.INITIAL_PROMPT)
    step("prompt", lambda: submission.submit_text(task_id=task.pk, user=author, text=f"Why? {uuid4()}", policy=policy))
    task.refresh_from_db()
    prompt = Message.objects.get(pk=task.result_message_id)
    for person in (first, second):
        task = given(person, Kind.LABEL_INITIAL_PROMPT)
        step(
            "review",
            lambda t=task, p=person: submission.submit_labels(task_id=t.pk, user=p, labels={"spam": 0}, policy=policy),
        )  # type: ignore[misc]
    from tasks import lottery

    lottery.draw("en", policy)
    for person in rest[:3]:
        task = given(person, Kind.ASSISTANT_REPLY)
        step(
            "reply",
            lambda t=task, p=person: submission.submit_text(task_id=t.pk, user=p, text=f"So. {uuid4()}", policy=policy),
        )  # type: ignore[misc]
    for _ in range(Message.objects.filter(parent=prompt).count()):
        for person in (first, second):
            task = given(person, Kind.LABEL_ASSISTANT_REPLY)
            step(
                "last review",
                lambda t=task, p=person: submission.submit_labels(
                    task_id=t.pk, user=p, labels={"spam": 0}, policy=policy
                ),
            )  # type: ignore[misc]
    for person in (first, second, writer):
        task = given(person, Kind.RANK_ASSISTANT_REPLIES)
        step(
            "last ranking",
            lambda t=task, p=person: submission.submit_ranking(
                task_id=t.pk, user=p, ordered_ids=t.reply_ids, policy=policy
            ),
        )  # type: ignore[misc]
    assert MessageTree.objects.get(pk=prompt.tree_id).state == State.READY_FOR_EXPORT
    return found


class TestCost:
    """At most 12 statements per call, the same with ten and with a thousand trees."""

    def test_ten_trees(self) -> None:
        found = costs(10)
        assert max(found.values()) <= 12, found

    @pytest.mark.slow
    def test_a_thousand_trees_cost_the_same(self) -> None:
        few, many = costs(10), costs(1000)
        assert few == many
