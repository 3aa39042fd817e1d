"""Counting event by event and counting everything again give the same result, for any order of events."""

import os
import random
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from leaderboard import rebuild, streaks, tallies
from leaderboard.models import Standing, Tally, TrollStanding
from oasst.accounts import account_bans
from oasst.accounts.models import User
from oasst.core.errors import DomainError
from oasst.core.locks import timeouts_as_busy
from oasst.site import purging
from tasks import lottery
from tests.factories import do_work, new_person, new_prompt, rank, review
from tests.leaderboard.test_tallies import read_all
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Deletion, Happening, Message, MessageTree, Opening, Purge
from trees.moderation import moderator_actions

POLICY = TreePolicy(goal_tree_size=5, max_tree_depth=2, max_active_trees=40)
FACTS = int(os.environ.get("RANDOM_FACTS", "1000"))
ZONES = ("Pacific/Kiritimati", "Asia/Kolkata", "America/Anchorage")  # +14, +5:30, -9


class Life:
    """Lets random users do random things."""

    def __init__(self, people: list[User], moderator: User, seed: int) -> None:
        self.people, self.moderator, self.dice = people, moderator, random.Random(seed)
        self.acts: list[tuple[int, Callable[[User], object]]] = [
            (4, self.prompt),
            (40, self.work),
            (4, self.judge_again),
            (6, self.react),
            (3, self.delete),
            (3, self.bring_back),
            (1, self.edit),
            (1, self.ban_or_not),
            (2, self.draw),
            (1, self.purge_or_undo),
        ]

    def step(self) -> None:
        weights, acts = zip(*self.acts, strict=True)
        try:
            with timeouts_as_busy():
                self.dice.choices(acts, weights)[0](self.dice.choice(self.people))
        except DomainError:
            pass  # another user was faster, or it is not possible: nothing happened

    def prompt(self, person: User) -> None:
        new_prompt(person, policy=POLICY, lang=self.dice.choice(["en", "de"]))

    def work(self, person: User) -> None:
        openings = list(Opening.objects.select_related("message").order_by("?")[:1])
        if openings and openings[0].message.author_id != person.pk:
            do_work(openings[0], person, POLICY)

    def judge_again(self, person: User) -> None:
        message = Message.objects.order_by("?").first()
        if message is not None:
            if self.dice.random() < 0.5:
                review(message, person, spam=self.dice.choice([0, 1]), policy=POLICY)
            else:
                rank(message, person, policy=POLICY, not_rankable=self.dice.random() < 0.2)

    def react(self, person: User) -> None:
        message = Message.objects.order_by("?").first()
        if message is not None:
            reactions.set_reaction(message_id=message.pk, user=person, emoji=self.dice.choice(["+1", "-1", "red_flag"]))

    def delete(self, person: User) -> None:
        message = Message.objects.filter(deleted=False).order_by("?").first()
        if message is not None:
            moderator_actions.delete_message(message_id=message.pk, actor=self.moderator, reason="x", policy=POLICY)

    def bring_back(self, person: User) -> None:
        deletion = Deletion.objects.filter(undone_at=None).order_by("?").first()
        if deletion is not None:
            moderator_actions.undelete(deletion_id=deletion.pk, actor=self.moderator, reason="x", policy=POLICY)

    def edit(self, person: User) -> None:
        message = Message.objects.filter(deleted=False).order_by("?").first()
        if message is not None:
            text = f"New words {self.dice.random()}"
            moderator_actions.edit_message(
                message_id=message.pk, actor=self.moderator, text=text, reason="x", policy=POLICY
            )

    def ban_or_not(self, person: User) -> None:
        person = User.objects.get(pk=person.pk)  # for this thread only: services change it
        if person.enabled:
            account_bans.ban(person, actor=self.moderator, reason="x")
        else:
            account_bans.unban(person, actor=self.moderator, reason="x")

    def draw(self, person: User) -> None:
        lottery.draw(self.dice.choice(["en", "de"]), POLICY, limit=5)

    def purge_or_undo(self, person: User) -> None:
        """Start, continue or undo a purge, depending on the last one."""
        person.refresh_from_db()
        standing = Purge.objects.filter(person=person, stage__in=Purge.ACTIVE_STAGES).first()
        if standing is None:
            standing = purging.start_purge(user=person, actor=self.moderator, reason="x")
        elif self.dice.random() < 0.7:
            purging.undo_purge(purge_id=standing.pk, actor=self.moderator, reason="x")
        purging.continue_purge(purge_id=standing.pk, policy=POLICY, seconds=self.dice.choice([0, 0.02, 60]))


def cast() -> tuple[list[User], User]:
    people = [new_person(f"Person {number}") for number in range(12)]
    for number, person in enumerate(people):
        person.time_zone = ZONES[number % len(ZONES)]
        person.save(update_fields=["time_zone"])
    return people, new_person("Mo", role="moderator")


def scatter_in_time(dice: random.Random) -> None:
    """Spread everything over a month, across days, as if the scores had followed it."""
    ids = list(MessageTree.objects.values_list("pk", flat=True))
    for tree_id in ids:
        back = timedelta(minutes=dice.randrange(0, 40 * 24 * 60))
        with connection.cursor() as cursor:
            for table in ("trees_message", "trees_review", "trees_ranking"):
                of = {
                    "trees_message": "tree_id = %s",
                    "trees_review": "message_id IN (SELECT id FROM trees_message WHERE tree_id = %s)",
                }
                where = of.get(table, "parent_id IN (SELECT id FROM trees_message WHERE tree_id = %s)")
                cursor.execute(f"UPDATE {table} SET created_at = created_at - %s WHERE {where}", [back, tree_id])
            cursor.execute(
                "UPDATE trees_happening SET at = at - %s, tallied = false WHERE tree_id = %s", [back, tree_id]
            )
    # Events never change their time on a real site, so streaks must be computed again here.
    with transaction.atomic():
        streaks.recompute_streaks(User.objects.all())


def stored() -> list[list[tuple[object, ...]]]:
    return [
        sorted(Tally.objects.values_list("person_id", "start", "grain", "lang", "kind", "number")),
        sorted(Standing.objects.values_list("frame", "lang", "person_id", "points", "quality", "provisional")),
        sorted(TrollStanding.objects.values_list("frame", "person_id", "score")),
        sorted(User.objects.values_list("pk", "streak_days"), key=str),
    ]


def check() -> None:
    read_all()
    assert list(rebuild.differences()) == []
    before = stored()
    assert before[0] and before[1]
    rebuild.rebuild()
    assert stored() == before
    assert list(rebuild.differences()) == []


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_life_of_one(seed: int) -> None:
    people, moderator = cast()
    life = Life(people, moderator, seed)
    for number in range(400):
        life.step()
        if life.dice.random() < 0.1:
            tallies.read_outbox(limit=life.dice.choice([1, 3, 200]))
        if number == 200:
            scatter_in_time(life.dice)
        if life.dice.random() < 0.02:
            tallies.advance_frames(timezone.now() + timedelta(hours=life.dice.randrange(0, 30)))
    check()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_many_at_once_while_the_outbox_is_read() -> None:
    """Four writers and two readers at the same time, while time passes."""
    people, moderator = cast()
    done = threading.Event()
    problems: list[BaseException] = []

    def guarded(act: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                act()
            except BaseException as error:
                problems.append(error)
                done.set()
            finally:
                connection.close()

        return run

    def live(seed: int) -> None:
        life = Life(people, moderator, seed)
        while not done.is_set():
            life.step()
            if seed == 0 and Happening.objects.count() >= FACTS:
                done.set()

    def read() -> None:
        hours = 0
        while not done.is_set():
            tallies.read_outbox(limit=50)
            hours += 1
            if hours % 50 == 0:
                tallies.advance_frames(timezone.now() + timedelta(hours=hours // 50))

    acts = [guarded(lambda seed=seed: live(seed)) for seed in range(4)] + [guarded(read), guarded(read)]  # type: ignore[misc]
    connection.close()
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert Happening.objects.count() >= FACTS
    check()
