"""A living demo: example trees from files, and a few people whose trees stand in every stage.

Made through the same services that the pages call, so everything in it could have happened.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from oasst.accounts.models import User
from oasst.accounts.services import accept_terms, create_user
from oasst.core.errors import Busy, Conflict
from oasst.crowd.texts import Texts
from tasks import assignment, lottery, queries, submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.models import MessageTree
from trees.policy import TreePolicy
from trees.states import State

NAMES = ("Ada", "Bela", "Chidi", "Dunja", "Emre", "Fatou", "Goran", "Hana")
LANG = "en"
# Small trees, so that a few people finish one while a newcomer watches.
GOAL, DEPTH = 5, 3
LEFT_IN_REVIEW = 2
MOST_STEPS = 400
# What to do when a kind of work is missing, so that there is some again.
BRINGS = {
    Kind.LABEL_ASSISTANT_REPLY: Kind.ASSISTANT_REPLY,
    Kind.PROMPTER_REPLY: Kind.LABEL_ASSISTANT_REPLY,
    Kind.LABEL_PROMPTER_REPLY: Kind.PROMPTER_REPLY,
    Kind.ASSISTANT_REPLY: Kind.LABEL_PROMPTER_REPLY,
}


def address(name: str) -> str:
    return f"{name.lower()}@demo.example"


def is_there() -> bool:
    return User.objects.filter(email=address(NAMES[0])).exists()


def people(password: str) -> list[User]:
    found = []
    for name in NAMES:
        user = create_user(email=address(name), display_name=name, password=password)
        accept_terms(user)
        found.append(user)
    return found


def grow(crowd: list[User], folder: Path, policy: TreePolicy, tell: Callable[[str], None]) -> None:
    """Let the people work until there is a tree in every stage and every kind of task waits for the next person."""
    # No room for growing trees: prompts are drawn below and not by the next request, so that some still wait when the
    # first visitor comes.
    policy = replace(policy, goal_tree_size=GOAL, max_tree_depth=DEPTH, max_active_trees=0)
    draw = replace(policy, max_active_trees=len(NAMES))
    rng = random.Random(2026)
    texts = Texts(folder, limit=policy.message_size_limit, rng=rng)
    for person in crowd:
        _do(person, Kind.INITIAL_PROMPT, policy, texts, rng)
    tell(f"{len(crowd)} people wrote a prompt each")
    for _ in range(MOST_STEPS):
        reviewed = MessageTree.objects.filter(state=State.PROMPT_LOTTERY_WAITING.value).count()
        if reviewed >= len(crowd) - LEFT_IN_REVIEW:
            break
        _do(rng.choice(crowd), Kind.LABEL_INITIAL_PROMPT, policy, texts, rng)
    lottery.draw(LANG, draw, limit=1)
    _work_until(lambda: _reached(State.READY_FOR_EXPORT), crowd, WORK, policy, texts, rng)
    tell("one tree is finished")
    lottery.draw(LANG, draw, limit=1)
    _work_until(lambda: _reached(State.RANKING), crowd, [*BRINGS], policy, texts, rng)
    tell("one tree is being ranked")
    lottery.draw(LANG, draw, limit=2)
    _work_until(lambda: not _missing(crowd[0], policy), crowd, None, policy, texts, rng)
    tell("two trees are growing; every kind of task is open")


WORK = [*BRINGS, Kind.RANK_ASSISTANT_REPLIES]


def _reached(state: State) -> bool:
    return MessageTree.objects.filter(state=state.value, origin="").exists()


def _missing(person: User, policy: TreePolicy) -> list[Kind]:
    """The kinds of reply work that a stranger would not find."""
    stranger = User(terms_version=person.terms_version)
    counts = queries.availability(stranger, LANG, policy)
    return [kind for kind in BRINGS if not counts[kind]]


def _work_until(
    done: Callable[[], bool],
    crowd: list[User],
    kinds: list[Kind] | None,
    policy: TreePolicy,
    texts: Texts,
    rng: random.Random,
) -> None:
    """Tasks of these kinds by anybody; when None, of the kind that brings what is missing."""
    for _ in range(MOST_STEPS):
        if done():
            return
        kind = rng.choice(kinds) if kinds else BRINGS[rng.choice(_missing(crowd[0], policy))]
        _do(rng.choice(crowd), kind, policy, texts, rng)


def _do(person: User, kind: Kind, policy: TreePolicy, texts: Texts, rng: random.Random) -> None:
    try:
        task = assignment.request_task(user=person, lang=LANG, kind=kind, policy=policy)
        _answer(task, person, policy, texts, rng)
    except (assignment.NothingToDo, Busy, Conflict):
        return  # somebody else's turn


def _answer(task: Task, person: User, policy: TreePolicy, texts: Texts, rng: random.Random) -> None:
    match TABLE[Kind(task.kind)].answer:
        case "text":
            submission.submit_text(task_id=task.pk, user=person, text=texts.draw(Kind(task.kind)), policy=policy)
        case "labels":
            labels: dict[str, float | None] = {"spam": 0.0, "quality": rng.choice((0.5, 0.75, 1.0))}
            submission.submit_labels(task_id=task.pk, user=person, labels=labels, policy=policy)
        case "ranking":
            order = sorted(task.reply_ids)
            submission.submit_ranking(task_id=task.pk, user=person, ordered_ids=order, policy=policy)
