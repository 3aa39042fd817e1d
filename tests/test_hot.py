"""The hand-written statements (`hot.py`) return what the ORM returns, on the rows of two hundred random trees.

Each function there has a twin here; `test_each_has_a_twin` finds those without.
"""

import inspect
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import Count, Exists, F, Max, Min, Model, OuterRef, Q, QuerySet, Subquery, Sum, Window
from django.db.models.functions import Coalesce, Now, RowNumber, TruncDay
from django.utils import timezone

from inference import hot as inference_hot
from inference.models import Chat, ChatMessage, Role, Turn
from inference.turns.states import TurnState
from leaderboard import hot as leaderboard_hot
from leaderboard.models import MEASURES, Counted, Moved, Place, Standing, Tally, TrollStanding
from leaderboard.points import COMPLAINTS, COUNTERS
from leaderboard.time_frames import Frame
from oasst.accounts import hot as accounts_hot
from oasst.accounts.api_clients import create_api_client
from oasst.accounts.models import ApiClient, Identity, Secret, User
from oasst.core.prepared import PreparedManager
from tasks import hot as tasks_hot
from tasks.kinds import Kind
from tasks.models import Capacity, Task
from tests.simulation.scale.conftest import Site, site, undone  # noqa: F401
from trees import hot as trees_hot
from trees.lifecycle.states import RANKING_WORK, REPLY_WORK, REVIEW_WORK, State, Work
from trees.models import (
    Happening,
    Message,
    MessageTree,
    Opening,
    Proposal,
    Ranking,
    Reaction,
    Review,
    Revision,
    Skip,
    Withdrawal,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now()
LANGUAGES = ("en", "es", "de")
VOIDED = ((None, None), (None, NOW), (NOW, NOW))  # withdrawn ones do not count
TWINS: set[str] = set()


def twin(*statements: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    TWINS.update(f"{one.__module__}.{one.__qualname__}" for one in statements)
    return lambda test: test


@pytest.fixture(scope="module", autouse=True)
def made_trees(site: Site) -> Iterator[None]:  # noqa: F811
    with site(200, 120):
        _make_it_rough(random.Random(2))
        yield


def _make_it_rough(dice: random.Random) -> None:
    """Add what random trees lack: deleted messages, held openings, API clients, complaints, changed standings."""
    people = list(User.objects.order_by("pk"))
    messages = list(Message.objects.order_by("pk"))
    for message in dice.sample(messages, 60):
        Message.objects.filter(pk=message.pk).update(deleted=dice.random() < 0.5, hidden=dice.random() < 0.3)
    deferred = dice.sample(list(Opening.objects.order_by("pk").values_list("pk", flat=True)), 30)
    Opening.objects.filter(pk__in=deferred).update(deferred=True)
    for opening in dice.sample(list(Opening.objects.filter(holder=None).order_by("pk")), 30):
        until = NOW + timedelta(minutes=dice.choice((-5, 5)))
        Opening.objects.filter(pk=opening.pk).update(holder=dice.choice(people), lease=uuid4(), held_until=until)
    for message, person in zip(dice.sample(messages, 40), dice.choices(people, k=40), strict=True):
        emoji, (withdrawn_at, voided_at) = dice.choice(("+1", "-1", "red_flag")), dice.choice(VOIDED)
        Reaction.objects.create(
            message=message, author=person, emoji=emoji, withdrawn_at=withdrawn_at, voided_at=voided_at
        )
    for client in (create_api_client(name=name)[0] for name in ("one", "two")):
        for number, person in enumerate(dice.sample(people, 20)):
            Identity.objects.create(api_client=client, auth_method="local", username=f"n{number}", user=person)
            until = NOW + timedelta(hours=1)
            Task.objects.create(user=person, kind="initial_prompt", lang="en", api_client=client, expires_at=until)
        Task.objects.filter(pk__in=[one.pk for one in dice.sample(list(Task.objects.order_by("pk")), 20)]).update(
            api_client=client
        )
    User.objects.filter(pk__in=[one.pk for one in dice.sample(people, 5)]).update(enabled=False)
    User.objects.filter(pk__in=[one.pk for one in dice.sample(people, 5)]).update(show_on_leaderboard=False)
    change = {
        (frame.value, lang, person.pk): Counter({name: dice.randint(0, 5) for name in dice.sample(COUNTERS, 4)})
        for frame in Frame
        for lang in ("", "en")
        for person in dice.sample(people, 8)
    }
    leaderboard_hot.add_to_board(leaderboard_hot.STANDINGS, change)


def some(rows: QuerySet[Any], number: int = 25) -> list[Any]:
    """The same ones each time."""
    found = list(rows.order_by("pk"))
    return random.Random(3).sample(found, min(number, len(found)))


def fields_of(one: Model) -> dict[str, Any]:
    """Return the loaded fields of a row."""
    return {name: value for name, value in vars(one).items() if not name.startswith("_")}


def stored(model: type[Model], **which: Any) -> list[dict[str, Any]]:
    rows = model._base_manager.filter(**which).order_by("pk")
    return [{name: value for name, value in fields_of(one).items() if name != "search"} for one in rows]


def same_rows(found: list[Model], expected: QuerySet[Any]) -> None:
    key = lambda one: str(one["id"])  # noqa: E731
    assert sorted(map(fields_of, found), key=key) == sorted(map(fields_of, expected), key=key)


# --- Writing ---


@twin(PreparedManager.insert, PreparedManager.save_fields)
def test_rows_are_stored_as_the_orm_stores_them() -> None:
    message = some(Message.objects)[0]
    given = {"message": message, "text": "Ünï\x0ccode", "created_at": NOW, "author": message.author}
    with undone():
        by_hand, by_orm = Revision(id=uuid4(), **given), Revision(id=uuid4(), **given)
        Revision.objects.insert(by_hand)
        by_orm.save(force_insert=True)
        first, second = (stored(Revision, pk=one.pk)[0] | {"id": None} for one in (by_hand, by_orm))
        assert first == second and not by_hand._state.adding
        facts = [Happening(kind="tree_moved", tree_id=message.tree_id, data={"n": n}) for n in range(3)]
        Happening.objects.insert(*facts)
        assert [fields_of(one) for one in facts] == stored(Happening, pk__in=[one.pk for one in facts])
        tree = MessageTree.objects.get(pk=message.tree_id)
        tree.state, tree.lang = State.HALTED_BY_MODERATOR.value, "not stored"
        MessageTree.objects.save_fields(tree, ["state"])
        assert MessageTree.objects.values_list("state", "lang").get(pk=tree.pk) == (tree.state, message.lang)


@twin(trees_hot.MessageManager.save_decisions)
def test_decisions() -> None:
    dice = random.Random(4)
    messages = some(Message.objects)
    for one in messages:
        one.review_result, one.rank = dice.choice((True, False, None)), dice.choice((None, 0, 3))
        one.review_count, one.ranking_count, one.deleted = dice.randint(0, 9), dice.randint(0, 9), dice.random() < 0.5
        one.lang = "not stored"
    names = ("review_count", "review_result", "ranking_count", "rank", "deleted")
    outcomes = []
    for save in (Message.objects.save_decisions, lambda rows: Message.objects.bulk_update(rows, names)):
        with undone():
            save(messages)
            outcomes.append(stored(Message))
    assert outcomes[0] == outcomes[1]


@twin(trees_hot.OpeningManager.change)
def test_openings_of_a_tree_are_changed() -> None:
    tree = MessageTree.objects.annotate(number_open=Count("openings")).order_by("-number_open")[0]
    here = list(Opening.objects.filter(tree=tree).order_by("pk"))
    assert len(here) >= 3
    remove, priorities = {here[0].pk}, {here[1].pk: 77}
    add = [(here[2].message_id, Work(here[2].work), 5), (here[2].message_id, Work(here[2].work), 6)]
    outcomes = []

    def by_orm() -> None:
        Opening.objects.filter(pk__in=remove).delete()
        for pk, priority in priorities.items():
            Opening.objects.filter(pk=pk).update(priority=priority)
        for message_id, work, priority in add:
            Opening.objects.create(
                tree=tree, message_id=message_id, work=work.value, priority=priority, lang=tree.lang, created_at=NOW
            )

    by_hand = lambda: Opening.objects.change(tree, remove=remove, priorities=priorities, add=add, now=NOW)  # noqa: E731
    for act in (by_hand, by_orm):
        with undone():
            act()
            outcomes.append([{**one, "id": None} for one in stored(Opening)])
    key = str
    assert sorted(outcomes[0], key=key) == sorted(outcomes[1], key=key)


# --- Trees and messages ---


@twin(trees_hot.TreeManager.locked)
def test_a_tree_is_locked() -> None:
    for tree in some(MessageTree.objects):
        assert fields_of(MessageTree.objects.locked(tree.pk)) == fields_of(tree)
    with pytest.raises(MessageTree.DoesNotExist):
        MessageTree.objects.locked(uuid4())


@twin(
    trees_hot.TreeManager.count_states,
    trees_hot.TreeManager.count_messages,
    trees_hot.MessageManager.count_languages,
)
def test_counts_of_the_whole_site() -> None:
    states = MessageTree.objects.order_by("state").values_list("state").annotate(Count("pk"))
    assert MessageTree.objects.count_states() == list(states)
    languages = Message.objects.order_by("lang").values_list("lang")
    assert Message.objects.count_languages() == list(
        languages.annotate(Count("pk"), standing=Count("pk", filter=Q(deleted=False)))
    )
    here = Q(messages__deleted=False)
    trees = MessageTree.objects.filter(here).annotate(
        depth=Max("messages__depth"),
        oldest=Min("messages__created_at"),
        youngest=Max("messages__created_at"),
        count=Count("messages"),
    )
    rows = trees.order_by("number").values_list("id", "state", "depth", "oldest", "youngest", "count", "goal_tree_size")
    assert MessageTree.objects.count_messages() == list(rows)
    growing = [State.GROWING.value, State.RANKING.value]
    assert MessageTree.objects.count_messages(growing) == list(rows.filter(state__in=growing))


@twin(trees_hot.MessageManager.of_tree, trees_hot.OpeningManager.of_tree, trees_hot.MessageManager.with_text)
def test_a_tree_is_read() -> None:
    for tree in some(MessageTree.objects):
        same_rows(Message.objects.of_tree(tree.pk), Message.objects.filter(tree=tree).defer(*trees_hot.TEXTS))
        same_rows(Opening.objects.of_tree(tree.pk), Opening.objects.filter(tree=tree))
        same_rows([Message.objects.with_text(tree.pk)], Message.objects.filter(pk=tree.pk).defer("search"))
    with pytest.raises(Message.DoesNotExist):
        Message.objects.with_text(uuid4())


@twin(trees_hot.MessageManager.accepted_replies, trees_hot.RevisionManager.reviews)
def test_what_is_below_a_message_and_was_said_of_it() -> None:
    for message in some(Message.objects.filter(children__isnull=False).distinct()):
        replies = message.children.filter(deleted=False, review_result=True).values_list("id", "revision_id")
        assert sorted(Message.objects.accepted_replies(message.pk)) == sorted(replies)
        revisions = [revision for _, revision in replies]
        given = Review.objects.filter(kind="review", revision__in=revisions).order_by("created_at", "pk")
        expected = given.values_list("message_id", "labels", "finds", "spares")
        assert Revision.objects.reviews(revisions) == list(expected)


@twin(trees_hot.MessageManager.rows, trees_hot.MessageManager.path)
def test_messages_as_readers_are_shown_them() -> None:
    reactions = list(Reaction.objects.all())
    for message in [*some(Message.objects), *(one.message for one in reactions)]:
        viewer = next((one.author for one in reactions if one.message_id == message.pk), message.author)
        above, step = [], message
        while step is not None:
            above.append(step)
            step = step.parent
        expected = [_row(one, viewer) for one in reversed(above)]
        assert Message.objects.path(message.pk, viewer.pk) == expected
        ids = [one.pk for one in above]
        assert sorted(Message.objects.rows(ids, viewer.pk), key=lambda row: row.depth) == expected
    assert Message.objects.path(uuid4()) == Message.objects.rows([]) == []


def _row(message: Message, viewer: User) -> trees_hot.MessageRow:
    mine = Reaction.objects.of_present_text().filter(message=message, author=viewer).order_by("id")
    columns = {name: getattr(message, name) for name in trees_hot.COLUMNS}
    return trees_hot.MessageRow(**columns, mine=list(mine.values_list("emoji", flat=True)))


@twin(trees_hot.MessageManager.has_recent)
def test_texts_of_late() -> None:
    for message in some(Message.objects):
        for since in (message.created_at - timedelta(seconds=1), message.created_at + timedelta(days=9999)):
            for digest in (bytes(message.text_digest), b"another"):
                found = Message.objects.filter(author=message.author, text_digest=digest, created_at__gte=since)
                assert Message.objects.has_recent(message.author_id, digest, since) == found.exists()


# --- Tasks ---


def openings_for(person: User, lang: str) -> QuerySet[Opening]:
    """Return the free openings with, for each, the reason why this user cannot have it."""
    kinds = {
        **{work.value: "review" for work in REVIEW_WORK},
        **{work.value: "ranking" for work in RANKING_WORK},
        **{work.value: "reply" for work in REPLY_WORK},
    }
    skips = Q(pk__in=[])
    for work, kind in kinds.items():
        skips |= Q(work=work, skipped_as=kind)
    replies = Message.objects.filter(parent=OuterRef("message"), author=person, deleted=False)
    by_model = Message.objects.filter(
        parent=OuterRef("message"),
        deleted=False,
        synthetic=True,
        tree__messages__parent=None,
        tree__messages__author=person,
    )
    begun = Task.objects.filter(user=person, status="open", expires_at__gt=NOW, message=OuterRef("message"))
    of_use = Q(work__in=REVIEW_WORK, message__review_result=None) | Q(
        work__in=[*REPLY_WORK, *RANKING_WORK], message__review_result=True
    )
    found = Opening.objects.filter(Q(held_until=None) | Q(held_until__lte=NOW), of_use, lang=lang)
    skipped = Skip.everything.filter(message=OuterRef("message"), author=person)
    return found.annotate(
        skipped_review=Exists(skipped.filter(kind="review")),
        skipped_ranking=Exists(skipped.filter(kind="ranking")),
        skipped_reply=Exists(skipped.filter(kind="reply")),
        has_begun=Exists(begun.filter(kind=OuterRef("work"))),
        reviewed=Exists(Review.everything.filter(revision=OuterRef("message__revision"), author=person, kind="review")),
        ranked=Exists(Ranking.everything.filter(parent=OuterRef("message"), author=person)),
        among_replies=Exists(replies.filter(review_result=True)) | Exists(by_model.filter(review_result=True)),
        gave_it=Exists(
            Message.objects.filter(pk=OuterRef("message__tree"), author=person).filter(
                tree__messages=OuterRef("message"), tree__messages__synthetic=True
            )
        ),
        replied=Exists(replies.exclude(review_result=False)),
    ).order_by("-priority", "deferred", "id")


def cause(opening: Any, person: User) -> str:
    work = Work(opening.work)
    group = "review" if work in REVIEW_WORK else "ranking" if work in RANKING_WORK else "reply"
    if getattr(opening, f"skipped_{group}"):
        return "skipped"
    if opening.has_begun:
        return "begun"
    if group == "review":
        is_own = opening.message.author_id == person.pk or opening.gave_it
        return "own" if is_own else "done" if opening.reviewed else "free"
    if group == "ranking":
        return "done" if opening.ranked else "own" if opening.among_replies else "free"
    return "done" if opening.replied else "free"


@pytest.fixture(scope="module")
def visitors(made_trees: None, django_db_blocker: Any) -> list[User]:
    """Users who exclude themselves: they wrote, reviewed, skipped or began something that is open."""
    with django_db_blocker.unblock():
        dice, people = random.Random(5), some(User.objects.filter(enabled=True), 12)
        for opening in dice.sample(list(Opening.objects.select_related("message").order_by("pk")), 60):
            person = dice.choice(people)
            if dice.random() < 0.5:
                kind = "review" if Work(opening.work) in REVIEW_WORK else dice.choice(("ranking", "reply"))
                Skip.objects.get_or_create(message=opening.message, author=person, kind=kind)
            else:
                Task.objects.create(
                    user=person, kind=opening.work, lang=opening.lang, message=opening.message,
                    expires_at=NOW + timedelta(hours=dice.choice((-1, 1))),
                )  # fmt: skip
        return people


@twin(
    tasks_hot.available_kinds,
    tasks_hot.count_available_messages,
    tasks_hot.count_unavailable_by_cause,
    tasks_hot.hold_opening,
)
def test_openings_that_a_person_may_take(visitors: list[User]) -> None:
    causes: Counter[str] = Counter()
    for person in visitors:
        for lang in LANGUAGES:
            openings = list(openings_for(person, lang).select_related("message"))
            free = [one for one in openings if cause(one, person) == "free"]
            works = {Work(one.work) for one in free}
            assert tasks_hot.available_kinds(person, lang, NOW) == {Kind(work) for work in works}
            messages = Counter(work for work, _ in {(one.work, one.message_id) for one in free})
            assert tasks_hot.count_available_messages(person, lang, NOW) == {
                Kind(work): min(number, tasks_hot.COUNT_LIMIT) for work, number in messages.items()
            }
            expected = Counter((Work(one.work), cause(one, person)) for one in openings)
            assert tasks_hot.count_unavailable_by_cause(person, lang, list(Work), NOW) == expected
            causes.update(name for _, name in expected.elements())
            for work in Work:
                best = next((one for one in free if one.work == work), None)
                with undone():
                    lease, until = uuid4(), NOW + timedelta(minutes=5)
                    held = tasks_hot.hold_opening(work, person, lang, lease=lease, now=NOW, until=until)
                    assert held == (best and best.message_id)
                    if best is not None:
                        now_held = Opening.objects.get(lease=lease)
                        assert (now_held.pk, now_held.holder, now_held.held_until) == (best.pk, person, until)
    assert min(causes[name] for name in ("free", "own", "done", "skipped", "begun")) > 0


@twin(tasks_hot.count_holders)
def test_who_holds_openings(visitors: list[User]) -> None:
    for person in visitors:
        for lang in LANGUAGES:
            held = list(Opening.objects.filter(lang=lang, held_until__gt=NOW).exclude(holder=person))
            Opening.objects.filter(pk__in=[one.pk for one in held]).update(held_until=NOW)  # their holds expire
            left = {one.pk: one for one in openings_for(person, lang).select_related("message")}
            fitting = {one.holder_id for one in held if one.pk in left and cause(left[one.pk], person) == "free"}
            for one in held:
                Opening.objects.filter(pk=one.pk).update(held_until=one.held_until)
            expected = (len({one.holder_id for one in held}), len(fitting))
            assert tasks_hot.count_holders(person, lang, list(Work), NOW) == expected


@twin(tasks_hot.count_supply)
def test_supply() -> None:
    since = NOW - timedelta(hours=1)
    Capacity.objects.create(
        lang="en", reviews=1, replies=2, rankings=3, checked_kinds=["x"], since=since, seconds={"x": 4}, measured_at=NOW
    )
    for lang in (*LANGUAGES, "xx"):
        trees = MessageTree.objects.filter(lang=lang)
        waits = [
            *Proposal.objects.filter(status="open", hides=True).values_list("tree", flat=True),
            *Withdrawal.objects.filter(status="open").values_list("tree", flat=True),
        ]
        stuck = [one for one in waits if not Opening.objects.filter(tree=one).exists()]
        ranking = trees.filter(state=State.RANKING.value)
        columns = ("reviews", "replies", "rankings", "since", "checked_kinds", "seconds")
        capacity = Capacity.objects.filter(lang=lang).values_list(*columns).first()
        assert tasks_hot.count_supply(lang, max_waiting=3, writing_since=since) == (
            trees.filter(state=State.INITIAL_PROMPT_REVIEW.value).count(),
            min(3, trees.filter(state=State.PROMPT_LOTTERY_WAITING.value).count()),
            trees.filter(state=State.GROWING.value).exclude(pk__in=stuck).count(),
            ranking.exclude(won_prompt_lottery_at=None).count(),
            ranking.count(),
            trees.filter(state=State.BACKLOG_RANKING.value).exists(),
            Task.objects.filter(kind="initial_prompt", lang=lang, status="open", created_at__gte=since).count(),
            *(capacity or (*(None,) * 5, {})),
        )


@twin(tasks_hot.TaskManager.locked, tasks_hot.TaskManager.of_client, tasks_hot.TaskManager.count_begun)
def test_tasks_are_found() -> None:
    for task in [*some(Task.objects), *some(Task.objects.exclude(api_client=None))]:
        found = Task.objects.locked(task.pk, task.user)
        assert found is not None
        assert fields_of(found.user) == fields_of(task.user)
        if task.message is not None:
            assert found.message == task.message and found.message.text == task.message.text
        assert fields_of(found) == fields_of(Task.objects.get(pk=task.pk))
        assert Task.objects.locked(task.pk, some(User.objects.exclude(pk=task.user_id))[0]) is None
        client = task.api_client_id or uuid4()
        same_rows(Task.objects.of_client(client, task.pk), Task.objects.filter(api_client=client, pk=task.pk))
        since = task.created_at - timedelta(seconds=1)
        begun = Task.objects.filter(user=task.user, status="open", created_at__gt=since)
        assert Task.objects.count_begun(task.user, since) == begun.count()


@twin(tasks_hot.TaskManager.bind, tasks_hot.TaskManager.acknowledged_as)
def test_tasks_are_acknowledged() -> None:
    changed = 0
    for number, task in enumerate(some(Task.objects.exclude(api_client=None))):
        name, now = f"a {number}", task.created_at
        able = Task.objects.filter(
            pk=task.pk, frontend_message_id=None, expires_at__gt=now, status__in=("open", "skipped")
        ).exists()
        assert Task.objects.bind(task.pk, task.api_client_id, name, now) == able
        assert not Task.objects.bind(task.pk, uuid4(), name, now)
        named = Task.objects.filter(api_client=task.api_client, frontend_message_id=name)
        assert [(one.pk, one.acknowledged_at) for one in named] == [(task.pk, now)] * able
        same_rows(Task.objects.acknowledged_as(task.api_client_id, name), named)
        changed += able
    assert changed


# --- Users and API clients ---


@twin(accounts_hot.find_person, accounts_hot.find_user, accounts_hot.identities_of, accounts_hot.find_key)
def test_people_and_programs() -> None:
    identities = list(Identity.objects.order_by("id"))
    for one in identities:
        found = accounts_hot.find_person(one.api_client_id, one.auth_method, one.username)
        assert found is not None and fields_of(found) == fields_of(one.user)
        assert accounts_hot.find_person(one.api_client_id, "google", one.username) is None
        known = accounts_hot.find_user(one.user_id, known_to=one.api_client_id)
        assert known is not None and fields_of(known) == fields_of(one.user)
    for person in some(User.objects):
        anybody = accounts_hot.find_user(person.pk)
        assert anybody is not None and fields_of(anybody) == fields_of(person)
        for client in ApiClient.objects.filter(person=None):
            known = person.identities.filter(api_client=client).exists()
            assert (accounts_hot.find_user(person.pk, known_to=client.pk) is not None) == known
    people = [one.user_id for one in identities][::2]
    rows = Identity.objects.filter(user__in=people).order_by("id")
    assert accounts_hot.identities_of(people) == list(
        rows.values_list("user_id", "api_client_id", "auth_method", "username")
    )
    client, secret = create_api_client(name="three")
    key = client.keys.get()
    found_key = accounts_hot.find_key(Secret.digest_of(secret))
    assert found_key is not None and fields_of(found_key.client) == fields_of(ApiClient.objects.get(pk=client.pk))
    assert found_key[1:] == (key.pk, key.expires_at, key.last_used_at)
    assert accounts_hot.find_key("nothing") is None


# --- Scores ---


def board(frame: Frame, lang: str, measure: str) -> list[Standing]:
    """Return the rows of a board, best first."""
    rows = Standing.objects.filter(frame=frame.value, lang=lang, person__enabled=True, person__show_on_leaderboard=True)
    return list(rows.select_related("person").order_by(f"-{measure}", "person_id"))


BOARDS = [(frame, lang, measure) for frame in Frame for lang in ("", "en") for measure in ("points", "quality")]


def test_some_have_moved_since_boards_were_in_order() -> None:
    assert Moved.objects.count() > 20 and Place.objects.count() > 100


@twin(leaderboard_hot.read_board_top, leaderboard_hot.read_every_nth)
@pytest.mark.parametrize(("frame", "lang", "measure"), BOARDS)
def test_the_top_of_a_board(frame: Frame, lang: str, measure: str) -> None:
    rows = board(frame, lang, measure)
    for above, start, size in ((-(10**6), 0, 10), (0, 3, 5), (20, 0, 100)):
        expected = [one for one in rows if getattr(one, measure) > above][start : start + size]
        found = leaderboard_hot.read_board_top(frame, lang, measure, above=above, start=start, size=size)
        assert [_board_row(one) for one in found] == [_expected(one, measure) for one in expected]
    every = leaderboard_hot.read_every_nth(frame, lang, measure, 3)
    assert every == [(getattr(one, measure), one.person_id) for one in rows[2::3]]


def test_only_a_known_measure_becomes_part_of_a_statement() -> None:
    for ask in (
        lambda: leaderboard_hot.read_board_top(Frame.TOTAL, "", "1", above=0, start=0, size=1),
        lambda: leaderboard_hot.read_every_nth(Frame.TOTAL, "", "1", 1),
        lambda: leaderboard_hot.count_ranks("", "1", []),
    ):
        with pytest.raises(ValueError, match="There is no measure '1'"):
            ask()


def _board_row(row: leaderboard_hot.BoardRow) -> tuple[Any, ...]:
    shown = (row.person.display_name, row.person.role, row.person.time_zone)
    return row.person.pk, row.score, row.updated_at, row.counts, shown


def _expected(row: Standing, measure: str) -> tuple[Any, ...]:
    shown = (row.person.display_name, row.person.role, row.person.time_zone)
    counts = {name: getattr(row, name) for name in COUNTERS}
    return row.person_id, getattr(row, measure), row.updated_at, counts, shown


@twin(leaderboard_hot.read_board_around, leaderboard_hot.count_ranks)
@pytest.mark.parametrize(("frame", "lang", "measure"), BOARDS)
def test_around_somebody(frame: Frame, lang: str, measure: str) -> None:
    rows = board(frame, lang, measure)
    for place in random.Random(6).sample(range(len(rows)), min(6, len(rows))):
        mine = rows[place]
        score = getattr(mine, measure)
        near = leaderboard_hot.read_board_around(
            frame, lang, measure, score=score, person_id=mine.person_id, above=2, below=3, least=-(10**6)
        )
        ids = [row.person.pk for row in near]
        wanted = [one.person_id for one in rows[max(0, place - 2) : place + 4]]
        assert [one for one in ids if one in wanted] == wanted
        assert ids == [one.person_id for one in rows if one.person_id in ids], "what comes besides is in order too"
        asked = [
            leaderboard_hot.RankRequest(
                frame, 0, 2**31 - 1, UUID(int=2**128 - 1), UUID(int=2**128 - 1), score, mine.person_id
            )
        ]
        if place > 2:
            rung = rows[place // 2]
            top = getattr(rung, measure)
            until = mine.person_id if top == score else UUID(int=2**128 - 1)
            asked.append(
                leaderboard_hot.RankRequest(frame, place // 2 + 1, top, rung.person_id, until, score, mine.person_id)
            )
        assert leaderboard_hot.count_ranks(lang, measure, asked) == [place + 1] * len(asked)


@twin(leaderboard_hot.read_own_counts)
def test_what_a_person_did() -> None:
    work = {"message_posted", "message_reviewed", "replies_ranked"}
    facts = Happening.objects.filter(kind__in=work, actor__isnull=False, message__isnull=False)
    Happening.objects.filter(pk__in=[one.pk for one in some(facts, 60)]).update(tallied=False)
    unread = list(Happening.objects.filter(tallied=False, kind__in=work).select_related("message", "tree"))
    for person in some(User.objects.filter(pk__in=[one.actor_id for one in unread])):
        for lang in ("", "en"):
            found = leaderboard_hot.read_own_counts(person.pk, lang, [Frame.TOTAL, Frame.WEEK])
            expected = {
                row.frame: Counter({name: getattr(row, name) for name in COUNTERS})
                for row in Standing.objects.filter(person=person, lang=lang, frame__in=("total", "week"))
            }
            kinds = (_kind_of(one) for one in unread if one.actor_id == person.pk and lang in ("", one.tree.lang))
            expected[""] = Counter(kinds)
            assert {frame: +counts for frame, counts in found.items()} == {f: +c for f, c in expected.items()}


def _kind_of(fact: Happening) -> str:
    if fact.kind == "replies_ranked":
        return "rankings_total"
    if fact.kind == "message_reviewed":
        return f"labels_{fact.data['mode']}"
    return "prompts" if fact.message.parent_id is None else f"replies_{fact.message.role}"


@twin(leaderboard_hot.read_troll_board)
def test_the_board_of_moderators() -> None:
    for enabled in ([True], [False], [True, False]):
        rows = TrollStanding.objects.filter(frame="total", person__enabled__in=enabled).order_by("-score", "person_id")[
            :9
        ]
        found = leaderboard_hot.read_troll_board(Frame.TOTAL, enabled, 9)
        assert list(map(fields_of, found)) == list(map(fields_of, rows))
        assert [one.person.display_name for one in found] == [one.person.display_name for one in rows]


@twin(leaderboard_hot.store_tree_counts, leaderboard_hot.add_tallies, leaderboard_hot.add_to_board)
def test_counts_are_added() -> None:
    tree_id, packed = some(MessageTree.objects)[0].pk, [[str(uuid4()), NOW.isoformat(), "en", "prompts", 2]]
    leaderboard_hot.store_tree_counts({tree_id: packed, (other := uuid4()): []})
    assert dict(Counted.objects.filter(pk__in=(tree_id, other)).values_list("pk", "counts")) == {
        tree_id: packed,
        other: [],
    }
    old, gone = some(Tally.objects.exclude(number=0), 2)
    keys = ("person_id", "start", "grain", "lang", "kind")
    change = {tuple(getattr(old, name) for name in keys): 3, tuple(getattr(gone, name) for name in keys): -gone.number}
    fresh = (old.person_id, NOW, "hour", "xx", "prompts")
    with undone():
        leaderboard_hot.add_tallies(change | {fresh: 4})
        assert Tally.objects.get(pk=old.pk).number == old.number + 3
        assert not Tally.objects.filter(pk=gone.pk).exists()
        assert Tally.objects.get(**dict(zip(keys, fresh, strict=True))).number == 4
    before = {one.pk: one for one in Standing.objects.all()}
    one = some(Standing.objects)[0]
    everything = {name: -getattr(one, name) for name in COUNTERS}
    with undone():
        key = (one.frame, one.lang, one.person_id)
        leaderboard_hot.add_to_board(leaderboard_hot.STANDINGS, {key: Counter(prompts=2)})
        assert Standing.objects.get(pk=one.pk).prompts == before[one.pk].prompts + 2
        moved = Moved.objects.get(frame=one.frame, lang=one.lang, person=one.person_id)
        assert [getattr(moved, name) for name in MEASURES] == [
            getattr(Standing.objects.get(pk=one.pk), name) for name in MEASURES
        ]
        taken = Counter(everything)
        taken["prompts"] -= 2
        leaderboard_hot.add_to_board(leaderboard_hot.STANDINGS, {key: taken})
        assert not Standing.objects.filter(pk=one.pk).exists()
        moved.refresh_from_db()
        assert not moved.stands
    assert Standing.objects.count() == len(before)


@twin(leaderboard_hot.take_from_boards)
@pytest.mark.parametrize("frame", [Frame.DAY, Frame.MONTH])
def test_what_leaves_a_frame_is_taken_from_its_boards(frame: Frame) -> None:
    start, end = (Tally.objects.aggregate(one=one("start"))["one"] for one in (Min, Max))
    gone = Tally.objects.filter(start__gte=start, start__lt=end)
    everybody = {(person, kind): number for person, kind, number in sums_of(gone, "person", "kind")}
    by_lang = {(person, lang, kind): number for person, lang, kind, number in sums_of(gone, "person", "lang", "kind")}

    def by_orm() -> None:
        for model, counters in ((Standing, COUNTERS), (TrollStanding, COMPLAINTS)):
            for row in model._base_manager.filter(frame=frame.value, person__in=gone.values("person")):
                for name in counters:
                    one = (row.person_id, row.lang, name) if getattr(row, "lang", "") else (row.person_id, name)
                    setattr(row, name, getattr(row, name) - (by_lang | everybody).get(one, 0))
                if any(getattr(row, name) for name in counters):
                    row.save(update_fields=counters)
                else:
                    row.delete()

    outcomes = []
    for act in (lambda: leaderboard_hot.take_from_boards(frame.value, start, end), by_orm):
        with undone():
            act()
            outcomes.append([{**one, "updated_at": None} for one in (*stored(Standing), *stored(TrollStanding))])
    assert outcomes[0] == outcomes[1]


def sums_of(tallies: QuerySet[Tally], *by: str) -> Any:
    return tallies.values_list(*by).annotate(number=Sum("number"))


@twin(leaderboard_hot.fold_into_days)
def test_hours_become_days() -> None:
    days = some(Tally.objects.filter(grain="day"))
    start, end = min(one.start for one in days), max(one.start for one in days) + timedelta(days=1)
    here = Tally.objects.filter(start__gte=start, start__lt=end)
    with undone():
        for one in days:
            for hour in (0, 5, 23):
                facts = {"person_id": one.person_id, "lang": one.lang, "kind": one.kind, "number": hour + 1}
                Tally.objects.create(start=one.start + timedelta(hours=hour), grain="hour", **facts)
        expected = sums_of(here.annotate(day=TruncDay("start", tzinfo=UTC)), "person", "day", "lang", "kind")
        expected = sorted(expected, key=str)
        assert leaderboard_hot.fold_into_days(start, end) == len(days)
        found = here.filter(grain="day").values_list("person", "start", "lang", "kind", "number")
        assert sorted(found, key=str) == expected
        assert not here.filter(grain="hour").exists()


@twin(leaderboard_hot.put_in_order, leaderboard_hot.recompute_moved)
def test_boards_are_put_in_order() -> None:
    scores = lambda model: set(model.objects.values_list("frame", "lang", "person_id", *MEASURES))  # noqa: E731
    with undone():
        Standing.objects.filter(pk=some(Standing.objects)[0].pk).update(prompts=F("prompts") + 9)
        leaderboard_hot.recompute_moved()
        assert scores(Moved) == scores(Standing) - scores(Place)
        moved = Moved.objects.count()
        assert leaderboard_hot.put_in_order(when_more_than=10**6) == 0
        assert leaderboard_hot.put_in_order() == moved > 0
        assert scores(Place) == scores(Standing) and not Moved.objects.exists()


@twin(leaderboard_hot.store_streaks)
def test_streaks_are_stored() -> None:
    people = some(User.objects)
    for number, person in enumerate(people):
        person.streak_started_at, person.streak_days, person.last_activity_at = NOW, number, NOW
        person.notes = "not stored"
    outcomes = []
    names = ("streak_started_at", "streak_days", "last_activity_at")
    for store in (leaderboard_hot.store_streaks, lambda rows: User.objects.bulk_update(rows, names)):
        with undone():
            store(people)
            outcomes.append(stored(User))
    assert outcomes[0] == outcomes[1]


# --- Chats ---


@pytest.fixture(scope="module")
def chats(made_trees: None, django_db_blocker: Any) -> None:
    """Chats with branches of a few users; most answers wait, some are being written or were interrupted."""
    with django_db_blocker.unblock():
        dice = random.Random(7)
        for person in dice.choices(some(User.objects, 8), k=20):
            chat = Chat.objects.create(user=person)
            said: list[ChatMessage] = []
            for number in range(12):
                role = (Role.PROMPTER, Role.ASSISTANT)[number % 2]
                above = dice.choice([one for one in said if one.role != role] or [None])
                at = NOW + timedelta(seconds=dice.randrange(5))  # some at the same moment
                said.append(ChatMessage.objects.create(chat=chat, parent=above, role=role, created_at=at))
                if role == Role.ASSISTANT:
                    Turn.objects.create(message=said[-1], user=person, **_how_far(dice))


def _how_far(dice: random.Random) -> dict[str, Any]:
    some_time = lambda: NOW + timedelta(minutes=dice.choice((-5, 5)))  # noqa: E731
    facts = {
        "state": dice.choice((TurnState.PENDING, TurnState.PENDING, TurnState.IN_PROGRESS, TurnState.COMPLETE)),
        "model": dice.choice(("one", "one", "another")),
        "by_program": dice.random() < 0.3,
        "queued_at": NOW - timedelta(seconds=dice.randrange(9)),
        "deadline_at": NOW + timedelta(hours=1),
        "wanted_until": dice.choice((None, None, some_time())),
        "began_at": dice.choice((None, None, NOW)),
        "stop_asked_at": dice.choice((None, None, NOW)),
        "text": dice.choice(("", "Half")),
        "token_ids": [1, 2],
        "fruitless_claims": 2,
    }
    if facts["state"] == TurnState.IN_PROGRESS:
        facts |= {"owner": dice.choice(("me", "another")), "lease_until": some_time()}
    return facts | ({"ended_at": NOW} if facts["state"] == TurnState.COMPLETE else {})


@twin(inference_hot.ChatMessageManager.thread_ids, inference_hot.ChatMessageManager.newest_descendant)
def test_ways_through_a_chat(chats: None) -> None:
    for message in some(ChatMessage.objects, 100):
        above, step = [], message
        while step is not None:
            above.insert(0, step.pk)
            step = step.parent
        assert ChatMessage.objects.thread_ids(message.pk) == above
        assert ChatMessage.objects.thread_ids(message.pk, 3) == above[-3:]
        below = message
        while (reply := below.replies.order_by("-created_at", "-id").first()) is not None:
            below = reply
        assert ChatMessage.objects.newest_descendant(message.pk) == below.pk
    nobody = uuid4()
    assert ChatMessage.objects.thread_ids(nobody) == [] and ChatMessage.objects.newest_descendant(nobody) == nobody


def waiting_turns() -> QuerySet[Turn]:
    """In the order in which they begin."""
    wanted = Q(wanted_until=None) | Q(wanted_until__gte=Now())
    claimable = Q(state=TurnState.PENDING) | Q(state=TurnState.IN_PROGRESS, lease_until__lt=Now())
    held = Turn.objects.filter(user=OuterRef("user"), state=TurnState.IN_PROGRESS, lease_until__gte=Now())
    number_held = Subquery(held.values("user").annotate(number=Count("pk")).values("number"))
    begun = Q(began_at__isnull=False)
    place = Window(RowNumber(), partition_by=("user", "model"), order_by=(~begun, "by_program", "queued_at", "message"))
    rows = Turn.objects.filter(claimable, wanted).annotate(begun=begun, round=place + Coalesce(number_held, 0))
    return rows.order_by("-begun", "round", "queued_at", "message")


@twin(inference_hot.TurnManager.queue, inference_hot.TurnManager.lock_next)
def test_the_line_of_those_who_wait(chats: None) -> None:
    assert Turn.objects.queue() == [(one.pk, one.user_id) for one in waiting_turns()]
    for model in ("one", "another", "unknown"):
        for number, at_once in ((1, 8), (5, 1), (100, 2), (100, 3)):
            able = [one.pk for one in waiting_turns() if one.model == model and (one.begun or one.round <= at_once)]
            assert Turn.objects.lock_next(model=model, number=number, at_once=at_once) == able[:number]
    assert len(Turn.objects.queue()) > 30


@twin(inference_hot.TurnManager.checkpoint)
def test_answers_are_saved_as_they_grow(chats: None) -> None:
    turns = list(Turn.objects.order_by("pk"))
    fresh = [
        {"id": str(one.pk), "text": text, "token_ids": ids, "prompt_tokens": 3, "dropped_messages": number % 2}
        for number, one in enumerate(turns)
        for text, ids in [random.Random(number).choice((("Half", [1, 2]), ("Whole", [1, 2, 3]), ("", [])))]
    ]

    def by_orm() -> dict[UUID, bool]:
        unwanted = Q(stop_asked_at__isnull=False) | Q(wanted_until__lt=Now())
        found = {}
        for facts in fresh:
            turn = Turn.objects.filter(pk=facts["id"], owner="me", state=TurnState.IN_PROGRESS)
            for one in turn.annotate(stop=unwanted):
                moved = (one.text, one.token_ids) != (facts["text"], facts["token_ids"])
                turn.update(
                    **{name: value for name, value in facts.items() if name != "id"},
                    lease_until=Now() + timedelta(seconds=9),
                    fruitless_claims=0 if moved else F("fruitless_claims"),
                    first_text_at=Coalesce("first_text_at", Now()) if facts["text"] else None,
                )
                found[one.pk] = bool(one.stop)
        return found

    times = ("lease_until", "first_text_at")
    outcomes = []
    for save in (lambda: Turn.objects.checkpoint("me", fresh, 9), by_orm):
        with undone():
            before = timezone.now()
            told, rows = save(), stored(Turn)
            assert set(told.values()) == {True, False}
            held = [one["lease_until"] - timedelta(seconds=9) for one in rows if one["message_id"] in told]
            assert all(before <= one <= timezone.now() for one in held)
            outcomes.append((told, [{**one, **{name: one[name] is None for name in times}} for one in rows]))
    assert outcomes[0] == outcomes[1]


@twin(inference_hot.TurnManager.renew)
def test_turns_are_still_wanted(chats: None) -> None:
    asked = [one.pk for one in some(Turn.objects, 40)]
    is_open = Turn.objects.filter(pk__in=asked, state__in=(TurnState.PENDING, TurnState.IN_PROGRESS))
    expected = {one.pk for one in is_open}
    with undone():
        before = timezone.now() + timedelta(seconds=30)
        assert Turn.objects.renew(asked, 30) == expected != set(asked)
        after = timezone.now() + timedelta(seconds=30)
        renewed = Turn.objects.filter(wanted_until__range=(before, after))
        assert {one.pk for one in renewed} == expected


# --- All functions have a twin ---


@pytest.mark.parametrize("module", [accounts_hot, trees_hot, tasks_hot, leaderboard_hot, inference_hot])
def test_each_has_a_twin(module: ModuleType) -> None:
    managers = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, PreparedManager)]
    members = [vars(module), *(vars(one) for one in managers if one.__module__ == module.__name__)]
    public = {
        f"{module.__name__}.{one.__qualname__}"
        for names in members
        for name, one in names.items()
        if inspect.isfunction(one) and one.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public - TWINS == set()
