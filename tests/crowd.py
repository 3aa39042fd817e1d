"""A small crowd for tests: people who take and answer tasks through the services that pages call."""

from itertools import count

from oasst.accounts.models import User
from oasst.core.errors import Busy
from tasks import assignment, lottery, submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tests.factories import new_people
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

_number = count(1)


def take(person: User, policy: TreePolicy, kind: Kind | None = None) -> Task:
    return assignment.request_task(user=person, lang="en", kind=kind, policy=policy)


def answer(task: Task, policy: TreePolicy, *, spam: float = 0) -> Task:
    """Do the task as its user would."""
    match TABLE[Kind(task.kind)].answer:
        case "text":
            text = f"A text like no other, number {next(_number)}."
            return submission.submit_text(task_id=task.pk, user=task.user, text=text, policy=policy)
        case "labels":
            return submission.submit_labels(task_id=task.pk, user=task.user, labels={"spam": spam}, policy=policy)
        case "ranking":
            return submission.submit_ranking(task_id=task.pk, user=task.user, ordered_ids=task.reply_ids, policy=policy)


def start_tree(policy: TreePolicy, author: User | None = None) -> MessageTree:
    """Return a tree whose prompt is in review, written for a task."""
    person = author or new_people(1)[0]
    done = answer(take(person, policy, Kind.INITIAL_PROMPT), policy)
    assert done.result_message is not None
    return done.result_message.tree


def work_until(tree: MessageTree, state: State, policy: TreePolicy, people: list[User] | None = None) -> MessageTree:
    """Let people do all available work until the tree is in `state`."""
    people = people or new_people(6)
    if state == State.GROWING:
        # Drawn here: the user whose request triggers the draw would also take the first reply.
        work_until(tree, State.PROMPT_LOTTERY_WAITING, policy, people)
        lottery.draw("en", policy)
    for _ in range(200):
        tree.refresh_from_db()
        if tree.state == state:
            return tree
        for person in people:
            try:
                task = take(person, policy, _something(person, policy))
            except (assignment.NothingToDo, Busy):
                continue
            answer(task, policy)
            tree.refresh_from_db()
            if tree.state == state:
                return tree
    raise AssertionError(f"the tree did not reach {state}, it is in {tree.state}")


def _something(person: User, policy: TreePolicy) -> Kind | None:
    """Prefer existing conversations to new prompts."""
    from tasks.queries import availability

    counts = availability(person, "en", policy)
    return next((kind for kind in Kind if counts[kind] and kind != Kind.INITIAL_PROMPT), Kind.LABEL_INITIAL_PROMPT)
