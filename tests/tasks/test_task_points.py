"""The points on cards and task pages are those that a counted tree gives, and at that time."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from django.urls import reverse

from leaderboard.points import KINDS, score_of
from leaderboard.queries import own_counts
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tasks.kinds import TABLE, Kind, work_of
from tasks.review_modes import draw_mode, modes_when_asked
from tasks.task_points import points_of, points_when_asked
from tests.crowd import answer, take
from tests.factories import decide, growing_tree, new_people, new_prompt, new_reply, work_until_state
from tests.leaderboard.test_tallies import read_all
from tests.tasks.test_pages import signed_in, task_at
from tests.tasks.test_pages import take as press
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REVIEW_WORK, State
from trees.models import Message, Review

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
PROMISE = re.compile(r"(less than )?([\d.]+)(?: or [\d.]+)? points?(?:, ([\d.]+) if accepted)?<")


def counted(person: User) -> Counter[str]:
    read_all()
    return own_counts(person, frames=[Frame.TOTAL])[Frame.TOTAL]


def points(person: User) -> float:
    """Return the points with tenths, which boards round down in sums."""
    counts = counted(person)
    return round(sum(KINDS[kind].points * number for kind, number in counts.items() if kind in KINDS), 1)


def stage(kind: Kind, policy: TreePolicy) -> None:
    """Let other users do what is needed before there is this work, in the language `en`."""
    author, other = new_people(2)
    if kind == Kind.LABEL_INITIAL_PROMPT:
        new_prompt(author, policy=policy)
    elif kind != Kind.INITIAL_PROMPT:
        prompt = growing_tree(author, policy)
        if kind in (Kind.RANK_ASSISTANT_REPLIES, Kind.RANK_PROMPTER_REPLIES):
            work_until_state(prompt.pk, State.RANKING, policy)
        elif kind != Kind.ASSISTANT_REPLY:
            reply = new_reply(prompt, other, policy=policy)
            if kind != Kind.LABEL_ASSISTANT_REPLY:
                decide(reply, policy=policy)
            if kind == Kind.LABEL_PROMPTER_REPLY:
                new_reply(reply, author, policy=policy)


def end(message: Message | None, policy: TreePolicy) -> None:
    """Decide everything."""
    if message is not None:
        decide(message, policy=policy)
    for open_message in Message.objects.filter(review_result=None):
        decide(open_message, policy=policy)
    for root in Message.objects.filter(parent=None, tree__state=State.RANKING):
        work_until_state(root.pk, State.READY_FOR_EXPORT, policy)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind != Kind.RANK_PROMPTER_REPLIES])
def test_the_page_promises_what_is_paid(kind: Kind, eve: User) -> None:
    stage(kind, POLICY)
    client = signed_in(eve)
    card = client.get(reverse("dashboard")).content.decode().partition(f"card-{kind}")[2].partition("</button>")[0]
    url = press(client, kind.value)
    page = client.get(url).content.decode()
    promised = PROMISE.search(card)
    assert promised is not None and (again := PROMISE.search(page.partition("task-head__meta")[2])) is not None
    assert again[0] == promised[0]
    now, accepted = float(promised[2]), float(promised[3] or promised[2])

    done = answer(task_at(url), POLICY)
    when_sent = points(eve)
    end(done.result_message, POLICY)
    if promised[1]:
        assert 0 < points(eve) < now
    else:
        assert (when_sent, points(eve)) == (now, accepted)
        assert (accepted > now) == (TABLE[kind].answer == "text")


def test_ten_of_them_are_a_point_of_the_boards(eve: User) -> None:
    """Also for tenths."""
    policy = replace(POLICY, max_initial_prompt_review=99)
    pay = points_when_asked(Kind.INITIAL_PROMPT, policy)
    prompts = [new_prompt(eve, policy=policy) for _ in range(10)]
    assert score_of(counted(eve), "points") == round(10 * pay.now[0]) == 1
    for prompt in prompts:
        decide(prompt, policy=policy)
    assert score_of(counted(eve), "points") == round(10 * (pay.now[0] + pay.accepted))


@pytest.mark.parametrize(("chance", "mode"), [(0, Review.Mode.SIMPLE), (1, Review.Mode.FULL)])
def test_a_review_that_was_drawn(chance: float, mode: Review.Mode, eve: User) -> None:
    policy = replace(POLICY, p_full_labeling_review_prompt=chance)
    stage(Kind.LABEL_INITIAL_PROMPT, policy)
    task = take(eve, policy, Kind.LABEL_INITIAL_PROMPT)
    assert task.mode == mode
    answer(task, policy)
    assert points_when_asked(Kind.LABEL_INITIAL_PROMPT, policy) == points_of(Kind.LABEL_INITIAL_PROMPT, {mode})
    assert points_of(Kind.LABEL_INITIAL_PROMPT, {mode}).now == (points(eve), points(eve))


@pytest.mark.parametrize("chance", [0, 0.5, 1])
@pytest.mark.parametrize("kind", [kind for kind in Kind if work_of(kind) in REVIEW_WORK])
def test_what_is_drawn_is_what_was_promised(kind: Kind, chance: float) -> None:
    policy = replace(
        POLICY,
        p_full_labeling_review_prompt=chance,
        p_full_labeling_review_reply_assistant=chance,
        p_full_labeling_review_reply_prompter=chance,
    )
    assert {draw_mode(kind, policy, asked=True) for _ in range(60)} == modes_when_asked(kind, policy)
    assert len({draw_mode(kind, policy, asked=False) for _ in range(60)}) == (2 if chance == 0.5 else 1)


def test_follow_ups_in_order(eve: User) -> None:
    """Off by default."""
    policy = replace(POLICY, rank_prompter_replies=True, num_prompter_replies=2)
    stage(Kind.RANK_PROMPTER_REPLIES, policy)
    answer(take(eve, policy, Kind.RANK_PROMPTER_REPLIES), policy)
    assert points(eve) == points_when_asked(Kind.RANK_PROMPTER_REPLIES, policy).now[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.INITIAL_PROMPT, "less than 1 point"),
        (Kind.ASSISTANT_REPLY, "4 points, 8 if accepted"),
        (Kind.PROMPTER_REPLY, "1 point, 2 if accepted"),
        (Kind.LABEL_ASSISTANT_REPLY, "1 or 2 points"),
        (Kind.RANK_ASSISTANT_REPLIES, "1 point"),
    ],
)
def test_in_words(kind: Kind, words: str) -> None:
    assert str(points_of(kind)) == words
