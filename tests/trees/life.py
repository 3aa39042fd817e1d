"""Everything that can happen to trees, applied to the database and to the model, which are compared after each event.

`Life` is a hypothesis state machine: it draws the policy, the actors, the passing of time and the deaths of the
process. test_model.py runs it, and `scripts/bench trees-model` for any length of time.
"""

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar
from unittest import mock
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.test.utils import override_settings
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from oasst.accounts import account_bans
from oasst.accounts.models import Appeal, User
from oasst.core.audit.recording import collected_entries
from oasst.core.errors import Conflict, DomainError
from oasst.core.models import AuditEntry
from oasst.site import purging
from oasst.site.bulk import acts as bulk_acts
from oasst.site.bulk import previews, running
from oasst.site.bulk.acts import Act, kind_of
from oasst.site.desk import undoing
from oasst.site.invariants import find_differences
from oasst.site.models import BulkAct, DeskDecision
from tasks import assignment, backlog, capacity, lottery, submission, upkeep
from tasks.kinds import Kind
from tasks.models import Task as TaskRow
from tests.clock import stopped_clock
from tests.factories import new_people, new_person
from tests.trees.lifecycle import model
from tests.trees.lifecycle.model import (
    EXPORT,
    GROWING,
    PROMPT,
    RANKING,
    REPLIES,
    REVIEW,
    WAITING,
    Message,
    Model,
    Rules,
    Tree,
)
from trees import jobs
from trees.contributing import reactions, withdrawal
from trees.interchange.importer import import_files
from trees.lifecycle import reply_ranks, reranking
from trees.lifecycle.policy import EVERY_LANGUAGE, SAME_EVERYWHERE, TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    MessageTree,
    Opening,
    PolicyRun,
    PolicyVersion,
    Proposal,
    Purge,
    PurgeStep,
    Report,
    TreeTransition,
    Withdrawal,
)
from trees.models import Message as MessageRow
from trees.moderation import appealing, auto_moderation, banned_authors, bans, moderator_actions, notices
from trees.policies import changing, reading, runs

CONTRIBUTORS = 7
NEWCOMERS = 25  # who finish what is left when everybody else is done
MOST_TREES = 4
LANGUAGES = ("en", "de")  # the second has rules of its own
MOST_IMPORTS = 3
CHECK_ALL_EVERY = 20  # events
ALL_TABLES = (
    *("trees_messagetree", "trees_message", "trees_revision", "trees_review", "trees_ranking", "trees_opening"),
    *(
        "trees_skip",
        "trees_reaction",
        "trees_report",
        "trees_deletion",
        "trees_proposal",
        "trees_withdrawal",
        "trees_treetransition",
        "trees_happening",
    ),
    *("tasks_task", "core_repeatablewrite", "accounts_ban", "core_auditentry", "core_audittext"),
)
Given = TypeVar("Given")
Chosen = TypeVar("Chosen")
WEIGHTS = {
    "work": 30,
    "ask": 10,
    "answer": 12,
    "answer again": 3,
    "send twice": 3,
    "ask again": 2,
    "skip": 2,
    "come back": 3,
    "wait": 6,
    "clean up": 1,
    "draw": 2,
    "sweep": 2,
    "job": 3,
    "react": 4,
    "report": 1,
    "dismiss": 3,
    "uphold": 1,
    "settle": 1,
    "halt": 2,
    "resume": 3,
    "delete": 2,
    "keep": 2,
    "hide": 3,
    "undelete": 3,
    "edit": 3,
    "withdraw": 5,
    "undo a withdrawal": 3,
    "grant": 2,
    "refuse": 3,
    "ban": 2,
    "suspend": 2,
    "unban": 2,
    "lift": 2,
    "purge": 3,
    "act on many": 3,
    "follow": 4,
    "break": 1,
    "mend": 2,
    "retry": 2,
    "retry by hand": 2,
    "activate": 1,
    "move": 2,
    "measure": 1,
    "change rules": 5,
    "apply rules": 7,
    "import": 2,
    "die": 6,
    "slip": 10,
}

SOME_RULES = st.builds(
    Rules,
    max_active_trees=st.integers(1, 3),
    min_active_rankings=st.integers(0, 2),
    max_tree_depth=st.integers(0, 3),
    max_children_count=st.integers(1, 3),
    num_prompter_replies=st.integers(1, 2),
    goal_tree_size=st.integers(1, 6),
    num_reviews_initial_prompt=st.integers(1, 4),
    num_reviews_reply=st.integers(1, 4),
    acceptance_threshold_initial_prompt=st.sampled_from([0.6, 0, 0.3, 0.5, 0.9]),
    acceptance_threshold_reply=st.sampled_from([0.6, 0, 0.3, 0.5, 0.9]),
    num_required_rankings=st.integers(1, 3),
    rank_prompter_replies=st.booleans(),
    lonely_children_count=st.integers(1, 3),
    auto_mod_red_flags=st.integers(1, 3),
    auto_mod_max_skip_reply=st.integers(1, 3),
    complaint_min_accepted=st.sampled_from([0, 0, 1]),
    complaint_most_open=st.sampled_from([5, 1, 2]),
)
CHANGING: dict[str, tuple[Any, ...]] = {
    "max_active_trees": (1, 2, 3),
    "min_active_rankings": (0, 1, 2),
    "max_tree_depth": (1, 2, 3),
    "max_children_count": (1, 2, 3),
    "num_prompter_replies": (1, 2),
    "goal_tree_size": (1, 2, 4, 6),
    "num_reviews_initial_prompt": (1, 2, 4),
    "num_reviews_reply": (1, 2, 4),
    "acceptance_threshold_initial_prompt": (0.6, 0.3, 0.9),
    "acceptance_threshold_reply": (0.6, 0.3, 0.9),
    "num_required_rankings": (1, 2, 3),
    "rank_prompter_replies": (False, True),
    "lonely_children_count": (1, 2, 3),
    "auto_mod_red_flags": (1, 2, 3),
    "auto_mod_max_skip_reply": (1, 2, 3),
    "complaint_most_open": (1, 2, 5),
}
"""Rules that administrators change in the middle of a history, and to what."""


class Crash(BaseException):
    """The process dies: no error handler sees this."""


class Cast:
    """The users of all histories. Made once; each history rolls back its changes to them."""

    def __init__(self) -> None:
        self.contributors = new_people(CONTRIBUTORS)
        self.newcomers = new_people(NEWCOMERS)
        self.moderator = new_person("Mo", role="moderator")
        self.colleague = new_person("Max", role="moderator")  # who answers appeals
        self.administrator = new_person("Ida", role="admin")  # who changes the rules


class Life(RuleBasedStateMachine):
    cast: ClassVar[Cast]
    events: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(override_settings(RATE_LIMITS=False))
        self.clock = self._stack.enter_context(stopped_clock())
        self.folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self.waiting_jobs: list[UUID] = []  # messages
        self.to_follow: list[UUID] = []  # people
        for job, waiting in ((jobs.moderate_message, self.waiting_jobs), (jobs.follow_standing, self.to_follow)):
            later = lambda args, waiting=waiting, **_: waiting.append(UUID(args[0]))  # noqa: E731
            self._stack.enter_context(mock.patch.object(job, "apply_async", later))
        self._stack.enter_context(mock.patch.object(notices.mail_author, "apply_async", lambda args, **_: None))
        self._stack.enter_context(
            mock.patch.object(notices.mail_about_withdrawal, "apply_async", lambda args, **_: None)
        )
        self._stack.enter_context(mock.patch.object(runs, "enqueue_by_name", lambda *_: None))
        for job in (purging.go_on_with_purge, running.go_on_with_bulk_act):
            self._stack.enter_context(mock.patch.object(job, "apply_async", lambda args, **_: None))
        for module in (bulk_acts, undoing):
            self._stack.enter_context(mock.patch.object(module, "current_policy", lambda: self.policy))
        self._stack.enter_context(mock.patch.object(reply_ranks, "score", self._score))
        # Rolled back at the end. Marked as the test case's own, so that durable transactions may start inside it.
        self._history = transaction.atomic()
        self._history._from_testcase = True  # type: ignore[attr-defined]
        self._history.__enter__()
        self._stack.callback(self._take_back)
        self.people = [copy.copy(one) for one in self.cast.contributors]
        self.by_id = {one.pk: one for one in [*self.people, *self.cast.newcomers]}
        self.words = (f"Text {n}, like no other." for n in count())
        self.asked: list[tuple[User, Kind | None, str, str, UUID]] = []
        self.dies_after: int | None = None
        self.broken = False
        self.done = 0

    def _take_back(self) -> None:
        transaction.set_rollback(True)
        self._history.__exit__(None, None, None)

    @initialize(rules=SOME_RULES, own=SOME_RULES)
    def begin(self, rules: Rules, own: Rules) -> None:
        # No account gets old enough here to count by age.
        everywhere = {**asdict(rules), "complaint_least_age_days": 0, "complaint_min_age_days": 100_000}
        german = {name: value for name, value in asdict(own).items() if name not in SAME_EVERYWHERE}
        self.rules: dict[str, dict[str, Any]] = {EVERY_LANGUAGE: everywhere, "de": german}
        for number, (lang, found) in enumerate(self.rules.items(), start=1):
            PolicyVersion.objects.create(lang=lang, rules=found, number=number, in_force_at=self.clock.now)
        self.policy = TreePolicy.of(self.rules)
        self.unapplied = False  # the rules changed after trees followed them last: these may lag behind
        self.changed_since = False  # the rules changed after the application under way began
        self.model = Model(rules, self.clock.now, {"de": own})
        self.lang = LANGUAGES[0]
        self.touched: set[UUID] = set()

    def _score(self, tree: MessageTree, messages: dict[UUID, MessageRow], real: Any = reply_ranks.score) -> set[UUID]:
        if tree.state == State.READY_FOR_SCORING and not self.model.scoring_works:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        found: set[UUID] = real(tree, messages)
        return found

    # --- one event ---

    def event(
        self,
        name: str,
        act: Callable[[], Given],
        *,
        refusals: set[str] | Callable[[], set[str]] | None = None,
        then: Callable[[Given], object] = lambda given: None,
        touches: Tree | None = None,
        draws: bool = False,
        activates: bool = False,
        in_steps: bool = False,
    ) -> Given | None:
        """Run an action. It must succeed, or be refused for one of `refusals`; then database and model must agree.

        `refusals` may be a function if the reasons are known only afterwards. With `in_steps` the action is several
        transactions: a death in the middle leaves some of them done.
        """
        self.broken = True  # until it succeeded
        note(f"{self.done}: {name}")
        drawable, room = (self.model.drawable(self.lang), self.model.room(self.lang)) if draws else (set(), 0)
        times = 1 if self.dies_after is None else 2
        if self.dies_after is not None:
            self._die_while(name, act, strict=not (draws or activates or in_steps))
        given, refusal = None, ""
        try:
            given = act()
        except DomainError as error:
            refusal = error.code
        self._run_what_was_enqueued()
        if draws:
            self._see_draws(drawable, room, times)
        if activates:
            self._see_activations(times)
        reasons = refusals() if callable(refusals) else refusals
        if reasons:
            assert refusal in reasons, f"{name}: {refusal or given} instead of {reasons}"
        else:
            assert not refusal, f"{name} was refused: {refusal}"
            then(given)  # type: ignore[arg-type]
            if touches is not None:
                self.touch(touches)
        self.compare()
        self.broken = False
        Life.events[name if not reasons else f"{name}, refused"] += 1
        return given

    def _die_while(self, name: str, act: Callable[[], object], *, strict: bool) -> None:
        """Let the process die in the middle of the action: it must have no effect."""
        left, self.dies_after = self.dies_after or 0, None
        before = self._row_counts() if strict else ()

        def die(execute: Any, sql: str, *rest: Any) -> Any:
            nonlocal left
            if sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                return execute(sql, *rest)  # these are part of the one commit of a real transaction
            left -= 1
            if left < 0:
                raise Crash
            return execute(sql, *rest)

        point = transaction.savepoint()
        callbacks, queued = list(connection.run_on_commit), (list(self.waiting_jobs), list(self.to_follow))
        try:
            with connection.execute_wrapper(die):
                act()
        except Crash:
            transaction.savepoint_commit(point)
            Life.events["crash"] += 1
            if strict:  # else readers heard of what was committed before, which stays
                assert connection.run_on_commit == callbacks, "something was enqueued by what did not happen"
                assert self._row_counts() == before, f"{name} was half done"
        except DomainError:
            transaction.savepoint_rollback(point)
        else:
            transaction.savepoint_rollback(point)
        self.waiting_jobs[:], self.to_follow[:] = queued
        for person in self.people:
            person.refresh_from_db()

    def _row_counts(self) -> tuple[int, ...]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in ALL_TABLES))
            return tuple(cursor.fetchone())

    def _run_what_was_enqueued(self) -> None:
        """Run the callbacks that wait for a commit, which never comes here."""
        callbacks, connection.run_on_commit = connection.run_on_commit, []
        for waiting in callbacks:
            waiting[1]()

    def _see_draws(self, drawable: set[UUID], room: int, times: int) -> None:
        states = dict(MessageTree.objects.filter(pk__in=drawable).values_list("pk", "state"))
        drawn = [tree_id for tree_id, state in states.items() if state != WAITING]
        assert len(drawn) <= max(0, min(room, times * model.DRAWN_AT_ONCE))
        assert drawn or not drawable, "nothing was drawn although there is room"
        for tree_id in drawn:
            self.model.draw(self.model.trees[tree_id])
        self._compare_trees([self.model.trees[tree_id] for tree_id in drawn])

    def _see_activations(self, times: int) -> None:
        """The oldest trees left the backlog, one each time, plus those before it without anything to rank."""
        came, looked_at = 0, []
        while came < times and (tree := self.model.next_of_backlog(self.lang)):
            if came and MessageTree.objects.get(pk=tree.id).state == model.BACKLOG:
                break  # the death came first
            came += self.model.activate(tree)
            Life.events["activate: trees"] += 1
            looked_at.append(tree)
        self._compare_trees(looked_at)

    # --- comparing ---

    def touch(self, tree: Tree) -> None:
        self.touched.add(tree.id)

    def compare(self) -> None:
        self.done += 1
        everything = self.done % CHECK_ALL_EVERY == 0
        trees = list(self.model.trees.values()) if everything else [self.model.trees[one] for one in self.touched]
        self.touched = set()
        if trees:
            self._compare_trees(trees)
        for tree in self.model.trees.values():
            assert self.model.way_forward(tree), f"nothing moves {tree.id} on, which is {tree.state}"
        if everything:
            self._compare_tasks()
            if not self.unapplied:
                assert [str(one) for one in find_differences(self.policy)] == []

    def _compare_trees(self, trees: list[Tree]) -> None:
        ids = [tree.id for tree in trees]
        states = MessageTree.objects.filter(pk__in=ids).values_list("pk", "state", "halted_from")
        assert set(states) == {(tree.id, tree.state, tree.halted_from) for tree in trees}
        columns = (
            "pk",
            "deleted",
            "hidden",
            "kept_hidden",
            "withdrawn",
            "kept_at",
            "review_result",
            "review_count",
            "ranking_count",
            "rank",
            "emojis",
        )
        rows = MessageRow.objects.filter(tree__in=ids).values_list(*columns)
        marks = lambda one: (one.deleted, one.hidden, one.hiding is not None, one.withdrawn, one.kept)  # noqa: E731
        rows_found = {row[0]: (*row[1:5], row[5] is not None, *row[6:10], Counter(row[10])) for row in rows}
        assert rows_found == {
            one.id: (*marks(one), one.result, one.review_count, one.ranking_count, one.rank, one.emojis)
            for tree in trees
            for one in tree.messages
        }
        openings: dict[UUID, Counter[model.Place]] = {tree.id: Counter() for tree in trees}
        for tree_id, message_id, work in Opening.objects.filter(tree__in=ids).values_list("tree", "message", "work"):
            openings[tree_id][message_id, work] += 1
        for tree in trees:
            if tree.replies is not None:
                self.model.accept_places(tree, openings[tree.id])
            else:
                assert openings[tree.id] == +tree.places, f"{openings[tree.id]} instead of {+tree.places}"

    def _compare_tasks(self) -> None:
        statuses = dict(TaskRow.objects.values_list("pk", "status"))
        assert statuses == {task.id: task.status for task in self.model.tasks.values()}
        held = Opening.objects.filter(held_until__gt=self.clock.now).values_list("lease", "held_until")
        assert dict(held) == {task.id: task.held_until for task in self.model.tasks.values() if self.model.holds(task)}

    # --- what happens ---

    @rule(seed=st.integers(0, 2**40))
    def happen(self, seed: int) -> None:
        """Run one rule, drawn by weight from a seed.

        With one hypothesis rule per event and small numbers, histories would have few kinds of events and the same few
        people.
        """
        chance = random.Random(f"{seed} {self.done}")  # hypothesis often draws the same number again
        (what,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        n, who, turn = chance.randrange(1000), chance.randrange(1000), chance.randrange(12)
        self.lang = LANGUAGES[chance.randrange(3) == 0]
        random.seed(seed)  # the services themselves draw kinds, prompts and orders
        match what:
            case "work":
                self.work(who, turn == 11, turn)
            case "ask":
                self.ask_for_work(who, self.pick(n, [None, *model.KINDS]), turn % 2 == 0)
            case "ask again":
                self.ask_again(n)
            case "answer":
                self.answer_something(n, turn > 9, turn)
            case "answer again":
                self.answer_again(n, turn)
            case "send twice":
                self.send_twice(n, turn)
            case "wait":
                self.wait((1, 6, 31, 31, 31, 180, 49 * 60)[turn % 7])
            case "job":
                self.run_a_job(n, turn > 9)
            case "react":
                self.react(n, who, ("red_flag", "red_flag", "+1", "-1", "rofl")[turn % 5])
            case "report":
                self.report(n, who)
            case "ban":
                self.ban(who)
            case "suspend":
                self.suspend(who, (1, 3, 60)[turn % 3])
            case "unban":
                self.unban(who)
            case "lift":
                self.lift()
            case "purge":
                self.purge(who, turn, by_desk=n % 2 == 0)
            case "act on many":
                self.act_on_many(n, (Act.DELETE, Act.HIDE, Act.KEEP, Act.SUSPEND)[turn % 4])
            case "import":
                self.bring_in(
                    (GROWING, GROWING, RANKING, EXPORT, REVIEW, WAITING, model.BACKLOG, model.HALTED)[turn % 8],
                    to_backlog=n % 3 == 0,
                )
            case "die":
                self.die_in_the_middle(n, who, chance.randrange(60))
            case "clean up":
                self.clean_up()
            case "draw":
                self.draw()
            case "sweep":
                self.sweep()
            case "break" | "mend":
                self.model.scoring_works = what == "mend"
            case "retry":
                self.retry()
            case "activate":
                self.activate()
            case "measure":
                self.event("measure", capacity.measure)
            case "change rules":
                self.change_rules(chance)
            case "apply rules":
                self.apply_rules(None if n % 3 else turn + 1, lang="de" if n % 5 == 1 else EVERY_LANGUAGE)
            case _:
                getattr(self, what.replace(" ", "_"))(n)

    # --- choosing ---

    @staticmethod
    def pick(n: int, choices: list[Chosen]) -> Chosen | None:
        return choices[n % len(choices)] if choices else None

    def person(self, n: int) -> User:
        return self.people[n % len(self.people)]

    def own_trees(self) -> int:
        return sum(1 for tree in self.model.trees.values() if tree.root.author)

    # --- contributors ---

    def ask(self, person: User, kind: str | None, *, key: str | None = None) -> model.Task | None:
        if person.pk in self.model.banned:
            self.event("ask", lambda: self._request(person, kind, key), refusals={"suspended"})
            return None
        taken: list[model.Task] = []

        def refusals() -> set[str]:  # the available work is known after the draw
            if self.model.has_too_many_open(person.pk):
                return {"too_many_pending"}
            self.candidates = self.model.candidates(person.pk, [kind] if kind else model.KINDS, self.lang)
            return set()

        def act() -> TaskRow | None:
            try:
                return self._request(person, kind, key)
            except assignment.NothingToDo:
                return None

        def then(row: TaskRow | None) -> None:
            if row is None:
                assert not self.candidates, f"nothing to do beside {self.candidates}"
                return
            assert kind in (None, row.kind)
            assert row.kind == PROMPT or (row.message_id, row.kind) in self.candidates
            taken.append(self._begun(row))

        self.event("ask", act, refusals=refusals, then=then, draws=True, activates=True)
        if taken and key:
            self.asked.append((person, Kind(kind) if kind else None, key, self.lang, taken[0].id))
        return taken[0] if taken else None

    def _request(self, person: User, kind: str | None, key: str | None) -> TaskRow:
        wanted = Kind(kind) if kind else None
        return assignment.request_task(user=person, lang=self.lang, kind=wanted, policy=self.policy, repeat_key=key)

    def _begun(self, row: TaskRow) -> model.Task:
        message = self.model.messages[row.message_id] if row.message_id else None
        replies = [self.model.messages[one] for one in row.reply_ids]
        judged = replies or ([message] if message else [])
        texts = [one.text for one in judged] if row.revision_ids else []
        if replies:
            assert message is not None
            standing = {c.id for c in message.tree.children(message) if c.result and not c.out}
            assert {one.id for one in replies} == standing
        task = model.Task(row.pk, row.user_id, row.kind, message, self.clock.now, texts, replies)
        self.model.take(task)
        return task

    def answer(self, task: model.Task, *, junk: bool = False, turn: int = 0, name: str = "answer") -> None:
        person, message = self.by_id[task.person], task.message
        closed = self.model.why_closed(task)
        answer: tuple[Any, ...]
        if task.status == "done" and turn % 2 == 0:
            answer, closed = task.answer, ""  # type: ignore[assignment]
        elif task.kind == PROMPT or task.kind in REPLIES:
            answer = ("text", next(self.words))
        elif task.kind.startswith("label"):
            answer = ("labels", {"spam": float(junk), "lang_mismatch": None if turn % 3 else float(junk), "humor": 0.5})
            if message is not None and closed != "task_done":
                answer = ("labels", {"spam": float(junk)})
        else:
            ids = sorted(one.id for one in task.replies)
            answer = ("ranking", [*ids[turn % len(ids) :], *ids[: turn % len(ids)]], junk)
        if task.kind == PROMPT and task.status == "open" and self.own_trees() >= MOST_TREES:
            return
        if person.pk in self.model.banned:
            refusals = {"suspended"}
        elif task.status == "done" and answer == task.answer:  # also when it is the same by chance
            refusals = set()
        else:
            refusals = {closed} if closed else self.model.why_not_answer(task)

        def then(row: TaskRow) -> None:
            if task.status == "done":
                return
            self.model.finish(task, answer)
            match answer[0]:
                case "text":
                    assert row.result_message_id is not None
                    self.model.post(row.result_message_id, message, task.person, row.lang)
                    self.touch(self.model.messages[row.result_message_id].tree)
                case "labels":
                    assert message is not None
                    self.model.review(message, task.person, junk)
                    self.touch(message.tree)
                case _:
                    assert message is not None
                    self.model.rank(message, task.person, answer[1], junk)
                    self.touch(message.tree)

        self.event(name, lambda: self._submit(task, answer), refusals=refusals, then=then)

    def _submit(self, task: model.Task, answer: tuple[Any, ...]) -> TaskRow:
        about: dict[str, Any] = {"task_id": task.id, "user": self.by_id[task.person], "policy": self.policy}
        match answer[0]:
            case "text":
                return submission.submit_text(text=answer[1], **about)
            case "labels":
                return submission.submit_labels(labels=answer[1], **about)
            case _:
                return submission.submit_ranking(ordered_ids=answer[1], not_rankable=answer[2], **about)

    def some_task(self, n: int, *statuses: str) -> model.Task | None:
        return self.pick(n, [task for task in self.model.tasks.values() if task.status in statuses])

    def work(self, who: int, junk: bool, turn: int) -> None:
        """A user asks for any work and does it."""
        person = self.person(who)
        possible = sorted({kind for _, kind in self.model.candidates(person.pk, model.KINDS, self.lang)})
        kind = self.pick(turn, possible) or (PROMPT if self.own_trees() < MOST_TREES else None)
        if task := self.ask(person, kind):
            self.answer(task, junk=junk, turn=turn)

    def ask_for_work(self, who: int, what: str | None, keyed: bool = False) -> None:
        if what == PROMPT and self.own_trees() >= MOST_TREES:
            what = None
        self.ask(self.person(who), what, key=f"key {self.done}" if keyed else None)

    def ask_again(self, n: int) -> None:
        """The same request again returns the same task, whatever happened meanwhile."""
        if not (asked := self.pick(n, self.asked)):
            return
        person, kind, key, self.lang, task_id = asked
        refusals = {"suspended"} if person.pk in self.model.banned else set()

        def then(row: TaskRow) -> None:
            assert row.pk == task_id

        self.event(
            "ask again",
            lambda: self._request(person, kind, key),
            refusals=refusals,
            then=then,
            draws=not refusals,
            activates=not refusals,
        )

    def answer_something(self, n: int, junk: bool, turn: int) -> None:
        if task := self.some_task(n, "open"):
            self.answer(task, junk=junk, turn=turn)

    def answer_again(self, n: int, turn: int) -> None:
        """The same answer again succeeds; another one is too late."""
        if task := self.some_task(n, "done", "skipped", "expired"):
            self.answer(task, junk=True, turn=turn, name="answer again")

    def send_twice(self, n: int, turn: int) -> None:
        if task := self.some_task(n, "open"):
            self.answer(task, turn=turn)
            if task.status == "done":
                self.answer(task, turn=0, name="answer again")

    def skip(self, n: int) -> None:
        if not (task := self.some_task(n, "open", "skipped", "expired", "done")):
            return
        if task.person in self.model.banned:
            refusals = {"suspended"}
        elif task.status == "skipped":
            refusals = set()
        else:
            refusals = {closed} if (closed := self.model.why_closed(task)) else set()

        def then(_: object) -> None:
            if task.status != "skipped":
                self.model.skip(task)
                if task.message is not None:
                    self.touch(task.message.tree)

        act = lambda: assignment.skip(task_id=task.id, user=self.by_id[task.person], policy=self.policy)  # noqa: E731
        self.event("skip", act, refusals=refusals, then=then)

    def come_back(self, n: int) -> None:
        """The page is still open. An expired hold is renewed if the opening is still free."""
        if not (task := self.some_task(n, "open")) or task.message is None:
            return
        opening = (task.message.id, task.kind)
        if task.person in self.model.banned:
            refusals = {"suspended"}
        elif self.model.is_over(task):
            refusals = {"task_expired"}
        elif self.model.holds(task) or (
            self.model.free(opening) > 0 and Opening.objects.filter(lease=task.id).exists()
        ):
            refusals = set()
        else:
            refusals = {"lease_lost"}

        def then(_: object) -> None:
            task.held_until = min(self.clock.now + model.HOLD, task.begun + model.VALID)

        act = lambda: assignment.extend_lease(task_id=task.id, user=self.by_id[task.person])  # noqa: E731
        self.event("come back", act, refusals=refusals, then=then)

    # --- time and scheduled jobs ---

    def wait(self, minutes: int) -> None:
        self.clock.forward(timedelta(minutes=minutes))
        self.model.now = self.clock.now
        Life.events["wait"] += 1

    def clean_up(self) -> None:
        leases = list(Opening.objects.exclude(lease=None).values_list("lease", "tree"))

        def then(closed: int) -> None:
            assert closed == self.model.expire()
            for tree in [self.model.trees[one] for lease, one in leases if self.model.tasks[lease].status == "expired"]:
                self.model.advance(tree)
                self.touch(tree)

        self.event("clean up", lambda: upkeep.expire_tasks(policy=self.policy), then=then)

    def draw(self) -> None:
        self.event("draw", lambda: lottery.draw(self.lang, self.policy), draws=True)

    def sweep(self) -> None:
        """The sweep for trees that nobody moves finds none, except after a change of the rules."""

        def then(moved: int) -> None:
            assert self.unapplied or moved == 0
            for tree in self.model.trees.values():
                if self.unapplied and tree.state in (model.REVIEW, GROWING, RANKING):
                    self.model.advance(tree)
                    self.touch(tree)

        self.event("sweep", lambda: upkeep.advance_active_trees(policy=self.policy), then=then)

    def change_rules(self, chance: random.Random) -> None:
        """An administrator changes some rules of a language or of all; trees follow them later."""
        lang = chance.choice((*LANGUAGES[1:], EVERY_LANGUAGE))
        below = asdict(TreePolicy()) | (self.rules[EVERY_LANGUAGE] if lang else {})
        names = [name for name in CHANGING if not (lang and name in SAME_EVERYWHERE)]
        changes = {name: chance.choice(CHANGING[name]) for name in chance.sample(names, 3)}
        own = {name: value for name, value in {**self.rules[lang], **changes}.items() if value != below[name]}
        # What was equal to what it builds on stays a rule of its own unless it was changed.
        own |= {name: value for name, value in self.rules[lang].items() if name not in changes}
        refusals = {"nothing_changed"} if own == self.rules[lang] else set()

        def act() -> None:
            who = self.cast.administrator
            draft = changing.draft(lang=lang, changes=changes, actor=who)
            changing.put_in_force(version_id=draft.pk, actor=who, reason="People asked.")

        def then(_: object) -> None:
            self.rules[lang], self.unapplied, self.changed_since = own, True, True
            self.policy = reading.read().policy
            assert self.policy == TreePolicy.of(self.rules)
            everywhere = {**asdict(TreePolicy()), **self.rules[EVERY_LANGUAGE]}
            self.model.rules = Rules(**{one.name: everywhere[one.name] for one in fields(Rules)})
            self.model.own = {"de": replace(self.model.rules, **self.rules["de"])}
            Life.events[f"change rules: {lang or 'all'}"] += 1

        self.event("change rules", act, refusals=refusals, then=then)

    def apply_rules(self, trees: int | None, lang: str = EVERY_LANGUAGE) -> None:
        """Begin to apply the rules in force to running trees, or go on with it, for so many trees or to the end."""
        run = PolicyRun.objects.filter(stage="running").first()
        if run is None:
            version = PolicyVersion.objects.filter(lang=lang, number__gt=0).order_by("-number").first()
            assert version is not None
            run = runs.start_application(version_id=version.pk, actor=self.cast.administrator, reason="It is better.")
            self.changed_since = False
        started, at = run, run.position

        def then(run: PolicyRun) -> None:
            numbers = MessageTree.objects.filter(number__gt=at, number__lte=run.position)
            before = self.unapplied
            for tree_id, tag in numbers.values_list("pk", "lang"):
                if started.lang in ("", tag):
                    self.model.apply_rules(self.model.trees[tree_id])
                    self.touch(self.model.trees[tree_id])
            assert not any(one.get("failed") for one in run.counts.values())
            if not run.is_under_way and not started.lang and not self.changed_since:
                self.unapplied = False
            Life.events["apply rules: done"] += before and not self.unapplied

        act = lambda: runs.continue_run(run_id=started.pk, trees=trees)  # noqa: E731
        self.event("apply rules", act, then=then, in_steps=True)

    def activate(self) -> None:
        self.event("activate", lambda: backlog.activate(self.lang, self.policy), activates=True)

    def retry(self) -> None:
        """The job retries failed scorings."""
        due = self.model.due_retries()

        def then(counts: tuple[int, int]) -> None:
            assert counts == (len(due), sum([self.model.retry(tree) for tree in due]))
            self.touched |= {tree.id for tree in due}
            Life.events["retry: scorings"] += len(due)

        self.event("retry", lambda: reranking.retry_due(policy=self.policy), then=then, in_steps=True)

    def follow(self, n: int) -> None:
        """The job after a ban or its end: late, in any order, and sometimes twice."""
        if not (person := self.pick(n, self.to_follow)):
            return
        if n % 5:
            self.to_follow.remove(person)

        def then(moved: int) -> None:
            trees = [*self.model.follow(person), *self.model.recount(person)]
            assert moved == len(trees)
            self.touched |= {tree.id for tree in trees}
            Life.events["follow: trees"] += moved

        def act() -> int:
            followed = banned_authors.stop_or_resume_prompts(person_id=person, policy=self.policy)
            return followed + auto_moderation.recount(person_id=person, policy=self.policy)

        self.event("follow", act, then=then, in_steps=True)

    def run_a_job(self, n: int, again: bool) -> None:
        """Late, in any order, and sometimes twice."""
        if not (message_id := self.pick(n, self.waiting_jobs)):
            return
        if not again:
            self.waiting_jobs.remove(message_id)
        message = self.model.messages[message_id]

        def then(_: bool) -> None:
            self.model.complain(message)
            self.touch(message.tree)

        self.event("job", lambda: auto_moderation.moderate(message_id=message_id, policy=self.policy), then=then)

    # --- complaints ---

    def some_message(self, n: int) -> Message | None:
        return self.pick(n, list(self.model.messages.values()))

    def _react(self, n: int, who: int, name: str, act: Callable[[Message, User], object], emoji: str | None) -> None:
        if not (message := self.some_message(n)):
            return
        person = self.person(who)
        refusals = {"suspended"} if person.pk in self.model.banned else set()
        if not refusals and (message.deleted or message.hidden):
            refusals = {"message_not_found"}
        found: Message = message

        def then(_: object) -> None:
            if emoji:
                self.model.react(found, person.pk, emoji)
            elif not self.model.flags(found, person.pk):
                self.model.react(found, person.pk, "red_flag")
            self.touch(found.tree)

        self.event(name, lambda: act(found, person), refusals=refusals, then=then)

    def react(self, n: int, who: int, emoji: str) -> None:
        act = lambda message, person: reactions.set_reaction(message_id=message.id, user=person, emoji=emoji)  # noqa: E731
        self._react(n, who, "reaction", act, emoji)

    def report(self, n: int, who: int) -> None:
        act = lambda message, person: reactions.report(message_id=message.id, reporter=person, category="spam")  # noqa: E731
        self._react(n, who, "report", act, None)

    # --- moderators ---

    def _removed(self, message: Message) -> None:
        deletion = Deletion.objects.filter(message=message.id).order_by("-created_at", "-pk")[0]
        assert set(deletion.message_ids) == {one.id for one in message.tree.below(message) if not one.deleted}
        self.model.remove(deletion.pk, message)

    def _removing(self, message: Message) -> Callable[[object], None]:
        """Return what the model does when a moderator deletes this: that answers the reports of now."""
        reporters = self._reporters(message)

        def then(_: object) -> None:
            self._removed(message)
            self.model.answer(message, "upheld", reporters)

        return then

    @property
    def moderator(self) -> dict[str, Any]:
        return {"actor": self.cast.moderator, "policy": self.policy}

    def halt(self, n: int) -> None:
        if tree := self.pick(n, list(self.model.trees.values())):
            found: Tree = tree
            act = lambda: moderator_actions.halt(tree_id=found.id, reason="Odd.", **self.moderator)  # noqa: E731
            self.event("halt", act, then=lambda _: self.model.halt(found), touches=found)

    def resume(self, n: int) -> None:
        halted = [tree for tree in self.model.trees.values() if tree.state in (model.HALTED, model.ABORTED)]
        if tree := self.pick(n, halted or list(self.model.trees.values())):
            self.resume_tree(tree)

    def resume_tree(self, tree: Tree) -> None:
        refusals = set() if tree.state in (model.HALTED, model.ABORTED) else {"not_halted"}
        if tree.state == model.ABORTED and tree.root.result is False:
            refusals = {"prompt_rejected"}
        if not refusals and tree.root.deleted:
            refusals = {"prompt_deleted"}
        act = lambda: moderator_actions.resume(tree_id=tree.id, reason="Fine.", **self.moderator)  # noqa: E731
        self.event("resume", act, refusals=refusals, then=lambda _: self.model.resume(tree), touches=tree)

    def delete(self, n: int) -> None:
        if not (message := self.some_message(n)):
            return
        found: Message = message
        refusals = {"already_deleted"} if found.deleted else set()
        act = lambda: moderator_actions.delete_message(message_id=found.id, reason="Copied.", **self.moderator)  # noqa: E731
        self.event("delete", act, refusals=refusals, then=self._removing(found), touches=found.tree)

    def keep(self, n: int) -> None:
        hidden = [one for one in self.model.messages.values() if one.hidden]
        if message := self.pick(n, (n % 2 and hidden) or list(self.model.messages.values())):
            self.keep_this(message)

    def keep_this(self, message: Message) -> None:
        refusals, reporters = {"already_deleted"} if message.deleted else set(), self._reporters(message)
        act = lambda: moderator_actions.keep(message_id=message.id, reason="Fine.", **self.moderator)  # noqa: E731
        then = lambda _: self.model.keep_whole(message, reporters)  # noqa: E731
        self.event("keep", act, refusals=refusals, then=then, touches=message.tree)

    def hide(self, n: int) -> None:
        if not (message := self.some_message(n)):
            return
        found: Message = message
        reporters = self._reporters(found)
        refusals = {"withdrawn"} if found.withdrawn else {"already_hidden"} if found.hiding else set()
        if found.deleted:
            refusals = {"already_deleted"}
        act = lambda: moderator_actions.hide(message_id=found.id, reason="Copied.", **self.moderator)  # noqa: E731
        then = lambda _: self.model.hide(found, reporters)  # noqa: E731
        self.event("hide", act, refusals=refusals, then=then, touches=found.tree)

    def move(self, n: int) -> None:
        """File a conversation under the other language."""
        if tree := self.pick(n, list(self.model.trees.values())):
            found: Tree = tree
            lang = LANGUAGES[found.lang == LANGUAGES[0]]
            about: dict[str, Any] = {"tree_id": found.id, "lang": lang, "reason": "It is.", **self.moderator}
            act = lambda: moderator_actions.move_to_language(**about)  # noqa: E731
            self.event("move", act, then=lambda _: self.model.move(found, lang), touches=found)

    def _reporters(self, message: Message) -> set[UUID]:
        open_reports = Report.objects.filter(message=message.id, status="open")
        return set(open_reports.values_list("reporter", flat=True))

    def undelete(self, n: int) -> None:
        if removal := self.pick(n, list(self.model.removals.values())):
            self.bring_back(removal)

    def bring_back(self, removal: model.Removal) -> None:
        above = removal.message.parent
        if removal.undone:
            refusals = {"already_undone"}
        else:
            refusals = {"parent_deleted"} if above is not None and above.deleted else set()
        if removal.at_once and not refusals:
            refusals = {"withdrawn"}
        act = lambda: moderator_actions.undelete(deletion_id=removal.id, reason="Not copied.", **self.moderator)  # noqa: E731
        self.event(
            "undelete",
            act,
            refusals=refusals,
            then=lambda _: self.model.bring_back(removal),
            touches=removal.message.tree,
        )

    def some_proposal(self, n: int) -> Message | None:
        return self.pick(n, [one for one in self.model.messages.values() if one.proposal])

    def dismiss(self, n: int) -> None:
        if message := self.some_proposal(n):
            self.dismiss_this(message)

    def dismiss_this(self, message: Message) -> None:
        proposal = Proposal.objects.get(message=message.id, status="open")
        refusals = {"already_deleted"} if message.deleted else set()
        act = lambda: moderator_actions.dismiss(proposal_id=proposal.pk, reason="Fine.", **self.moderator)  # noqa: E731
        reporters = self._reporters(message)
        then = lambda _: self.model.keep_whole(message, reporters)  # noqa: E731
        self.event("dismiss", act, refusals=refusals, then=then, touches=message.tree)

    def uphold(self, n: int) -> None:
        if not (message := self.some_proposal(n)):
            return
        found: Message = message
        proposal = Proposal.objects.get(message=found.id, status="open")
        refusals = {"already_deleted"} if found.deleted else set()
        act = lambda: moderator_actions.uphold(proposal_id=proposal.pk, reason="Copied.", **self.moderator)  # noqa: E731
        self.event("uphold", act, refusals=refusals, then=self._removing(found), touches=found.tree)

    def settle(self, n: int) -> None:
        """Settle a report: dismissing it keeps the message."""
        if not (report := self.pick(n, list(Report.objects.filter(status="open").order_by("pk")))):
            return
        message, status = self.model.messages[report.message_id], ("dismissed", "upheld")[n % 2]

        def then(_: object) -> None:
            self.model.settle(message, report.reporter_id, status)

        about: dict[str, Any] = {"report_id": report.pk, "status": status, "outcome": "We looked.", **self.moderator}
        self.event("settle", lambda: moderator_actions.settle_report(**about), then=then, touches=message.tree)

    def edit(self, n: int) -> None:
        if not (message := self.some_message(n)):
            return
        found: Message = message
        text = next(self.words)
        act = lambda: moderator_actions.edit_message(message_id=found.id, text=text, reason="Typo.", **self.moderator)  # noqa: E731
        refusals = {"withdrawn"} if found.withdrawn else set()
        self.event("edit", act, refusals=refusals, then=lambda _: self.model.edit(found), touches=found.tree)

    # --- authors who withdraw a text ---

    def _of_an_author(self, n: int, messages: list[Message]) -> tuple[Message, User] | None:
        message = self.pick(n, [one for one in messages if one.author])
        return (message, self.by_id[message.author]) if message and message.author else None

    def withdraw(self, n: int) -> None:
        everything = list(self.model.messages.values())
        answered = [one for one in everything if not one.deleted and self.model.has_replies(one)]
        if not (found := self._of_an_author(n, (n % 2 and answered) or everything)):
            return
        message, author = found
        has_replies = self.model.has_replies(message)
        refusals = self._why_not_author(author)
        if not refusals and not message.withdrawn:
            if message.deleted:
                refusals = {"already_deleted"}
            elif message.refused and has_replies and message.tree.state != EXPORT:
                refusals = {"withdrawal_refused"}

        def then(made: Withdrawal) -> None:
            if not message.withdrawn:
                assert (made.deletion_id is None) == has_replies
                self.model.withdraw(message, made.deletion_id)

        act = lambda: withdrawal.withdraw(message_id=message.id, author=author, policy=self.policy)  # noqa: E731
        self.event("withdraw", act, refusals=refusals, then=then, touches=message.tree)

    def undo_a_withdrawal(self, n: int) -> None:
        withdrawn = [one for one in self.model.messages.values() if one.withdrawn]
        if not (found := self._of_an_author(n, withdrawn or list(self.model.messages.values()))):
            return
        message, author = found
        refusals = self._why_not_author(author) or ({"already_deleted"} if message.deleted else set())

        def then(_: object) -> None:
            if message.withdrawn:
                self.model.show_again(message, refused=False)

        act = lambda: withdrawal.undo(message_id=message.id, author=author, policy=self.policy)  # noqa: E731
        self.event("undo a withdrawal", act, refusals=refusals, then=then, touches=message.tree)

    def _why_not_author(self, author: User) -> set[str]:
        return {"suspended"} if author.pk in self.model.banned else set()

    def some_withdrawn(self, n: int) -> Message | None:
        return self.pick(n, [one for one in self.model.messages.values() if one.waits])

    def grant(self, n: int) -> None:
        if not (message := self.some_withdrawn(n)):
            return
        found: Message = message
        made = Withdrawal.objects.get(message=found.id, status="open")
        refusals = {"already_deleted"} if found.deleted else set()
        act = lambda: moderator_actions.grant_withdrawal(withdrawal_id=made.pk, reason="As you wish.", **self.moderator)  # noqa: E731
        self.event("grant", act, refusals=refusals, then=self._removing(found), touches=found.tree)

    def refuse(self, n: int) -> None:
        if message := self.some_withdrawn(n):
            self.refuse_this(message)

    def refuse_this(self, message: Message) -> None:
        made = Withdrawal.objects.get(message=message.id, status="open")
        refusals = {"in_data_set"} if message.tree.state == EXPORT else set()
        if message.deleted:
            refusals = {"already_deleted"}
        act = lambda: moderator_actions.refuse_withdrawal(withdrawal_id=made.pk, reason="It stays.", **self.moderator)  # noqa: E731
        then = lambda _: self.model.show_again(message, refused=True)  # noqa: E731
        self.event("refuse", act, refusals=refusals, then=then, touches=message.tree)

    def retry_by_hand(self, n: int) -> None:
        failed = [tree for tree in self.model.trees.values() if tree.state == model.FAILED]
        if not (tree := self.pick(n, failed or list(self.model.trees.values()))):
            return
        found: Tree = tree
        refusals = set() if found.state == model.FAILED else {"not_failed"}

        def act() -> bool:
            try:
                moderator_actions.retry_scoring(tree_id=found.id, reason="Mended.", **self.moderator)
            except Conflict as refusal:
                if refusal.code == "failed_again":  # the history of the tree says so
                    return False
                raise
            return True

        def then(succeeded: bool) -> None:
            assert succeeded == self.model.retry(found)

        self.event("retry by hand", act, refusals=refusals, then=then, touches=found)

    def slip(self, n: int) -> None:
        """A moderator does something, and it is undone at once, by them or by an appeal: everything is as before."""
        before = copy.deepcopy(self.model)
        last = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        SLIPS[n % len(SLIPS)](self, n // len(SLIPS))
        entry = AuditEntry.objects.filter(pk__gt=last).first()
        if entry is None:  # it was refused, or there was nothing to do it to
            return
        target = UUID(entry.target_id)
        trees: list[UUID] = []
        if entry.target_type != User._meta.label_lower:
            trees = [target if target in before.trees else before.messages[target].tree.id]
        then = lambda _: self._as_before(before, trees)  # noqa: E731
        if trees and n % 3 == 0 and (appeal := self._appeal(entry)):
            about: dict[str, Any] = {"actor": self.cast.colleague, "answer": "Sorry.", "policy": self.policy}
            self.event(f"appeal {entry.act}", lambda: appealing.grant(appeal.pk, **about), then=then)
            return
        decision = DeskDecision.objects.create(moderator=self.cast.moderator, entries=[entry.pk], act=entry.act)
        act = lambda: undoing.undo_decision(decision, reason="A slip.", **self.moderator)  # noqa: E731
        self.event(f"undo {entry.act}", act, then=then)

    def _appeal(self, entry: AuditEntry) -> Appeal | None:
        """Let somebody whom this act concerns appeal against it; None if there is nobody."""
        for person in self.people:
            try:
                return appealing.appeal(person, entry.pk, "It was not so.")
            except DomainError as refusal:
                assert refusal.code in ("decision_not_found", "not_appealable"), refusal
        return None

    def _as_before(self, before: Model, trees: Iterable[UUID]) -> None:
        """Everything is as before an act and its undo, which concerned these trees."""
        self.model = before
        for person in self.people:
            person.refresh_from_db()
        for tree_id in trees:
            self.touched.add(tree_id)
            tree = before.trees[tree_id]
            if before.being_written(tree):  # who writes has room beside what came back
                row = MessageTree.objects.get(pk=tree_id)
                tree.goal, tree.most_answers, tree.deepest = row.goal_tree_size, row.max_children_count, row.max_depth
            if tree.state == model.FAILED:  # it has failed once more
                tree.since = MessageTree.objects.get(pk=tree_id).state_since
                tree.failures = TreeTransition.objects.filter(tree=tree_id, to_state=model.FAILED).count()
            if self.unapplied:  # the act let it follow the rules in force
                before.advance(tree)

    def ban(self, who: int) -> None:
        self._ban(self.person(who), None, "ban")

    def suspend(self, who: int, days: int) -> None:
        self._ban(self.person(who), self.clock.now + timedelta(days=days), "suspend")

    def _ban(self, person: User, until: datetime | None, name: str) -> None:
        act = lambda: bans.ban(person, actor=self.cast.moderator, reason="Rude.", until=until)  # noqa: E731

        def then(_: object) -> None:
            self.model.banned.add(person.pk)
            self.model.banned_until[person.pk] = until

        self.event(name, act, then=then)

    def unban(self, who: int) -> None:
        person = self.pick(who, [one for one in self.people if one.pk in self.model.banned]) or self.person(who)
        refusals = set() if person.pk in self.model.banned else {"not_banned"}
        act = lambda: bans.unban(person, actor=self.cast.moderator, reason="They promised.")  # noqa: E731
        self.event("unban", act, refusals=refusals, then=lambda _: self.model.let_in(person.pk))

    def lift(self) -> None:
        """The job lets those in whose suspension is over."""
        due = self.model.suspensions_over()

        def then(lifted: int) -> None:
            assert lifted == len(due)
            for person_id in due:
                self.model.let_in(person_id)
                self.to_follow.append(person_id)
            Life.events["lift: people"] += lifted

        self.event("lift", account_bans.lift_those_that_are_over, then=then, in_steps=True)

    def purge(self, who: int, steps: int, *, by_desk: bool) -> None:
        """A purge begins, gets so far, and is undone: everything is as before but what people had begun to write."""
        person = self.person(who)
        begun: list[Purge] = []

        def act() -> None:
            with collected_entries() as entries:
                purge = purging.start_purge(user=person, actor=self.cast.moderator, reason="Advertising.")
            for _ in zip(range(steps), purging._steps(purge, self.policy), strict=False):
                pass
            if by_desk:
                ids = [entry.pk for entry in entries]
                decision = DeskDecision.objects.create(moderator=self.cast.moderator, entries=ids, act="purge")
                undoing.undo_decision(decision, reason="A slip.", **self.moderator)
            else:
                purging.undo_purge(purge_id=purge.pk, actor=self.cast.moderator, reason="A slip.")
            purging.continue_purge(purge_id=purge.pk, policy=self.policy)
            begun.append(purge)

        def then(_: object) -> None:
            trees = set(PurgeStep.objects.filter(purge=begun[-1]).values_list("tree", flat=True))
            Life.events["purge: trees"] += len(trees)
            self._as_before(self.model, trees)
            held = set(Opening.objects.filter(held_until__gt=self.clock.now).values_list("lease", flat=True))
            for task in [one for one in self.model.tasks.values() if self.model.holds(one) and one.id not in held]:
                assert task.message is not None
                assert task.person == person.pk or task.message.tree.id in trees
                task.held_until = None
                trees.add(task.message.tree.id)
            for tree_id in trees:
                self.model.make_room(self.model.trees[tree_id])
                self.model.advance(self.model.trees[tree_id])
            self.touched |= trees

        self.event("purge", act, then=then)

    def act_on_many(self, n: int, what: Act) -> None:
        """A moderator acts on many at once, and undoes that: everything is as before."""
        chance = random.Random(n)
        about: dict[str, Any] = {"actor": self.cast.moderator, "kind": kind_of(what), "chosen_by": "Some"}
        some = chance.sample(list(self.model.messages), min(4, len(self.model.messages)))
        done: list[BulkAct] = []

        def act() -> None:
            if what == Act.SUSPEND:
                bulk = previews.draft_on_people(people=chance.sample(self.people, 2), **about)
            else:
                bulk = previews.draft_on_messages(messages=MessageRow.objects.filter(pk__in=some), **about)
            running.start(bulk_id=bulk.pk, actor=self.cast.moderator, reason="Advertising.")
            running.continue_bulk_act(bulk_id=bulk.pk, rows=chance.choice([None, 1, 2]))
            Life.events[f"many: {what.value} rows"] += bulk.rows.filter(status="done").count()
            running.undo(bulk_id=bulk.pk, actor=self.cast.moderator, reason="A slip.")
            running.continue_bulk_act(bulk_id=bulk.pk)
            done.append(bulk)

        def refusals() -> set[str]:
            return set() if done else {"nothing_left"}

        def then(_: object) -> None:
            statuses = set(done[-1].rows.values_list("status", flat=True))
            assert statuses <= {"undone", "refused", "waiting"}, statuses
            acted_on = [] if what == Act.SUSPEND else done[-1].rows.filter(status="undone")
            self._as_before(self.model, {self.model.messages[one.subject_id].tree.id for one in acted_on})

        self.event(f"many: {what.value}", act, refusals=refusals, then=then)

    # --- files ---

    def bring_in(self, state: str, *, to_backlog: bool) -> None:
        if sum(1 for tree in self.model.trees.values() if not tree.root.author) >= MOST_IMPORTS:
            return
        tree, line = imported_tree(self.model.new_tree(uuid4(), state, self.lang))
        path = self.folder / f"{tree.id}.jsonl"
        path.write_text(json.dumps(line))
        act = lambda: import_files([path], policy=self.policy, to_backlog=to_backlog)  # noqa: E731
        if to_backlog:
            tree.state = model.BACKLOG
        self.event("import", act, then=lambda _: self.model.bring_in(tree), touches=tree)

    # --- deaths of the process ---

    def die_in_the_middle(self, n: int, who: int, turn: int) -> None:
        """The process dies at some statement of an event; then the event runs again."""
        self.dies_after = n % 17
        acts: list[Callable[[], object]] = [
            lambda: self.answer_something(n, False, turn),
            lambda: self.answer_something(who, True, turn),
            lambda: self.work(who, False, turn),
            lambda: self.ask_for_work(who, None),
            lambda: self.skip(n),
            lambda: self.halt(n),
            lambda: self.resume(n),
            lambda: self.delete(n),
            lambda: self.keep(n),
            lambda: self.hide(n),
            lambda: self.undelete(n),
            lambda: self.edit(n),
            lambda: self.withdraw(n),
            lambda: self.undo_a_withdrawal(n),
            lambda: self.grant(n),
            lambda: self.refuse(n),
            lambda: self.dismiss(n),
            lambda: self.uphold(n),
            lambda: self.settle(n),
            lambda: self.run_a_job(n, True),
            lambda: self.report(n, who),
            lambda: self.ban(who),
            lambda: self.unban(who),
            lambda: self.follow(n),
            lambda: self.retry(),
            lambda: self.retry_by_hand(n),
            lambda: self.activate(),
        ]
        acts[turn % len(acts)]()
        self.dies_after = None

    # --- the end ---

    def teardown(self) -> None:
        try:
            if not self.broken and hasattr(self, "model"):
                self._finish()
        finally:
            self._stack.close()

    def _finish(self) -> None:
        """Moderators undo their actions, and new users do all work: every tree reaches its end."""
        self.clock.forward(timedelta(days=3))
        self.model.now = self.clock.now
        self.clean_up()
        self.lift()
        for person in self.people:
            if person.pk in self.model.banned:
                self.unban(self.people.index(person))
                break
        self.model.scoring_works = True
        self.retry()
        for _under_way_and_all in range(2):
            self.apply_rules(None)
        while self.to_follow:
            self.follow(1)
        for removal in [one for one in self.model.removals.values() if one.message.parent is None and not one.undone]:
            self.bring_back(removal)
        for tree in list(self.model.trees.values()):
            if tree.state == model.HALTED and not self._is_withdrawn(tree):
                self.resume_tree(tree)
        for message in [one for one in self.model.messages.values() if one.proposal and not one.deleted]:
            self.dismiss_this(message)
        for message in [one for one in self.model.messages.values() if one.waits and not one.deleted]:
            self.refuse_this(message)
        self.clock.forward(timedelta(days=2))
        self.model.now = self.clock.now
        self.retry()
        for _ in range(400):
            if not (todo := self._next_place()):
                break
            person = next(one for one in self.cast.newcomers if self.model.candidates(one.pk, [todo], self.lang))
            if task := self.ask(person, todo):
                self.answer(task)
            self.clock.forward(timedelta(minutes=1))
            self.model.now = self.clock.now
        finished = {lang: self._ends_in(lang) for lang in LANGUAGES}
        left = [t for t in self.model.trees.values() if t.state not in finished[t.lang] and not self._is_withdrawn(t)]
        assert [(tree.state, tree.root.author in self.model.banned) for tree in left if tree.state != WAITING] == []
        assert all(tree.root.author in self.model.banned for tree in left), "waiting for a draw that never comes"
        assert [str(one) for one in find_differences(self.policy)] == []

    @staticmethod
    def _is_withdrawn(tree: Tree) -> bool:
        """Its author withdrew the prompt without replies: the tree has reached its end."""
        return tree.root.withdrawn and tree.root.deleted

    def _ends_in(self, lang: str) -> set[str]:
        return {EXPORT, model.ABORTED} | (set() if self.model.rules_of(lang).min_active_rankings else {model.BACKLOG})

    def _next_place(self) -> str | None:
        """Return a kind of work that `self.lang` has, the first language that has any."""
        for self.lang in LANGUAGES:
            while self.model.drawable(self.lang):  # a tree without room for replies ends when it is drawn
                self.draw()
            while self.model.next_of_backlog(self.lang):
                self.activate()
            places = (place for tree in self.model.of(self.lang) for place, count in tree.places.items() if count)
            if place := next(places, None):
                return place[1]
        return None


def imported_tree(tree: Tree) -> tuple[Tree, dict[str, Any]]:
    """Return the tree with messages as a file may bring them, and its line."""
    state = tree.state
    root = Message(tree.id, tree, None, "prompter", None, result=None if state == REVIEW else True)
    tree.messages.append(root)
    replies = [] if state in (REVIEW, WAITING) else [True, None] if state == GROWING else [True, True]
    for result in replies:
        tree.messages.append(Message(uuid4(), tree, root, "assistant", None, result=result))
    if state == EXPORT:
        tree.messages[1].rank, tree.messages[2].rank = 0, 1
    for message in tree.messages:
        message.review_count = 3 if message.result else 0

    def node(message: Message) -> dict[str, Any]:
        facts = {"review_result": message.result, "review_count": message.review_count, "rank": message.rank}
        return {
            "message_id": str(message.id),
            "text": f"Brought in {message.id}.",
            "role": message.role,
            "lang": tree.lang,
            "replies": [node(child) for child in tree.children(message)],
            **{name: value for name, value in facts.items() if value is not None},
        }

    return tree, {"message_tree_id": str(tree.id), "tree_state": state, "prompt": node(root)}


SLIPS: tuple[Callable[[Life, int], None], ...] = (
    *(Life.halt, Life.resume, Life.delete, Life.undelete, Life.dismiss, Life.uphold, Life.settle, Life.edit),
    *(Life.grant, Life.refuse, Life.retry_by_hand, Life.keep, Life.hide, Life.move, Life.ban, Life.unban),
    lambda life, n: life.suspend(n, 2),
)
"""What a moderator may undo."""
