"""Mending what the facts tell: counts, decisions, ranks, states without a history, due steps, openings, holds, copies.

What people said is never changed, and what can not be derived is left for somebody to look at: messages in the wrong
tree, a gap in a history, a task without its answer. Each tree is mended in a transaction under its lock, from facts
that are read again there, so it is safe beside running work and to run twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import BinaryField, BooleanField, Exists, ExpressionWrapper, F, Func, OuterRef, Q, Subquery, Value

from leaderboard import rebuild
from oasst.accounts import consent, locks
from oasst.accounts.models import Consent, User
from oasst.accounts.names import mark_again, mark_alike
from oasst.site.invariants import decisions, names, tasks
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts, read_trees
from oasst.site.invariants.run import SCORES, TREE_CHECKS, tree_differences
from trees.lifecycle import reply_ranks, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy, current_policy
from trees.lifecycle.states import State
from trees.models import (
    Happening,
    Message,
    MessageTree,
    Opening,
    Proposal,
    Reaction,
    Revision,
    Skip,
    TreeTransition,
    Withdrawal,
)
from trees.moderation import proposals

log = structlog.get_logger(__name__)

NO_HISTORY = "Found without a history. Its state follows from what it contains."
FROM_OUTBOX = "Written again from the outbox."
NOTHING_WAITS = "What it was stopped for is gone."


@dataclass(frozen=True)
class Repair:
    difference: Difference
    mended: bool
    why: str = "it can not be derived"

    def __str__(self) -> str:
        return f"{self.difference}: {'mended' if self.mended else f'left, {self.why}'}"


def repair(policy: TreePolicy, *, batch: int) -> Iterator[Repair]:
    """Mend what can be mended, and tell of each difference what became of it. Holds first, since places depend on
    them.
    """
    for check, statement in tasks.STATEMENTS.items():
        before = tasks.run(check, statement)
        if before and (mend := MENDERS.get(check)):
            mend()
        left = {one.subject for one in tasks.run(check, statement)} if before else set()
        yield from (Repair(one, one.subject not in left) for one in before)
    yield from _repair_names()
    for tree_id, found in tree_differences(policy, batch=batch):
        try:
            yield from _repair_tree(tree_id, policy, found)
        except Exception as error:  # one tree must not keep the others from being mended
            log.exception("tree_not_repaired", tree=str(tree_id))
            yield from (Repair(one, False, f"mending it failed: {error!r}") for one in found)
    yield from _repair_scores()


def _repair_names() -> Iterator[Repair]:
    """What names look like first, since who is called alike follows from it."""
    before = list(names.differences())
    looks: set[str] = set()
    for one in before:
        with transaction.atomic(durable=True):
            person = locks.lock_user(User.objects.get(pk=one.subject.removeprefix("user ")))
            looks.add(person.name_skeleton)
            mark_again(person)
            looks.add(person.name_skeleton)
    for one_look in looks - {""}:
        mark_alike(one_look)
    left = {one.subject for one in names.differences()} if before else set()
    yield from (Repair(one, one.subject not in left) for one in before)


def _repair_scores() -> Iterator[Repair]:
    """Last, since they follow from the trees. All are counted again: it is one rule, and boards stay as they were until
    it is done.
    """
    if before := list(rebuild.differences()):
        rebuild.rebuild()
        left = set(rebuild.differences())
        yield from (Repair(Difference(SCORES, *one), one not in left) for one in before)


def _repair_tree(tree_id: UUID, policy: TreePolicy, found: list[Difference]) -> list[Repair]:
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        # Whoever reacts locks the message and not its tree.
        list(Message.objects.select_for_update(no_key=True).filter(tree=tree_id).order_by("pk").values_list("pk"))
        (facts,) = read_trees(policy, [locked.tree])
        if facts.root is not None and all(m.parent_id in {None, *facts.messages} for m in facts.messages.values()):
            _mend(locked, facts)
        (after,) = read_trees(policy, MessageTree.objects.filter(pk=tree_id))
        left = [difference for check in TREE_CHECKS for difference in check(after)]
    names = {(one.check, one.subject) for one in left}
    mended = [Repair(one, True) for one in found if (one.check, one.subject) not in names]
    return [*mended, *(Repair(one, False) for one in left)]


def _mend(locked: LockedTree, facts: TreeFacts) -> None:
    _places_among_others(locked, facts)
    _reactions(facts)
    _counts(locked, facts)
    _results(locked, facts)
    _state(locked, facts)
    Opening.objects.filter(tree=locked.tree).exclude(lang=locked.tree.lang).update(lang=locked.tree.lang)
    if facts.is_imported and len(facts.transitions) <= 1:
        transitions.write_without_step(locked)  # what the file said stands until somebody works on it
        return
    if locked.state == State.READY_FOR_EXPORT:
        transitions.rescore(locked)
        parents = {m.parent_id for m in locked.messages.values() if m.parent_id and m.rank is not None}
        locked.changed_messages |= reply_ranks.unrank(locked.messages, parents)
    transitions.advance(locked)


def _places_among_others(locked: LockedTree, facts: TreeFacts) -> None:
    """Depths from the parents down, positions without gaps in the order that they have."""
    for message in sorted(facts.messages.values(), key=lambda m: m.pk):
        depth, up = 0, message
        while up.parent_id is not None and depth <= len(facts.messages):
            up, depth = facts.messages[up.parent_id], depth + 1
        if message.depth != depth:
            locked.messages[message.pk].depth = depth
            Message.objects.filter(pk=message.pk).update(depth=depth)
    siblings: dict[UUID, list[Message]] = {}
    for message in facts.messages.values():
        if message.parent_id is not None:
            siblings.setdefault(message.parent_id, []).append(message)
    for replies in siblings.values():
        replies.sort(key=lambda m: (m.position, m.pk))
        if [m.position for m in replies] != list(range(len(replies))):
            # Out of the way first: two must not have one position even for a moment.
            Message.objects.filter(parent=replies[0].parent_id).update(position=F("position") + 1_000_000)
            for position, message in enumerate(replies):
                Message.objects.filter(pk=message.pk).update(position=position)


def _reactions(facts: TreeFacts) -> None:
    for message_id, expected in decisions.expected_reactions(facts).items():
        if facts.messages[message_id].emojis != expected:
            Message.objects.filter(pk=message_id).update(emojis=expected)


def _counts(locked: LockedTree, facts: TreeFacts) -> None:
    ranked = decisions.times_ranked(facts)
    for message in facts.messages.values():
        mine = locked.messages[message.pk]
        expected = decisions.expected_reviews(facts, message), ranked[message.pk]
        if (mine.review_count, mine.ranking_count) != expected:
            mine.review_count, mine.ranking_count = expected
            locked.changed_messages.add(message.pk)


def _results(locked: LockedTree, facts: TreeFacts) -> None:
    """A decision that the outbox does not know yet is told; the one that it replaces is taken back there."""
    for difference in decisions.review_results(facts):
        message = locked.messages[UUID(difference.subject.removeprefix("message "))]
        before = message.review_result
        message.review_result = decisions.possible_results(facts, facts.messages[message.pk])[0]
        locked.changed_messages.add(message.pk)
        if message.review_result is None:
            locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
            continue
        accepted, rejected = Happening.Kind.MESSAGE_ACCEPTED, Happening.Kind.MESSAGE_REJECTED
        if not facts.happenings[message.pk, (accepted if message.review_result else rejected).value]:
            if before is not None:
                locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
            transitions.record_decision(locked, message, facts.votes(facts.messages[message.pk]))
    locked.known_votes = None


def _state(locked: LockedTree, facts: TreeFacts) -> None:
    """Every step is written with its state, so a state that no step led to was damaged: the history counts."""
    moves, tree = _history(locked, facts), locked.tree
    if tree.state == moves[-1].to_state:
        return
    tree.state = moves[-1].to_state
    halted = State.HALTED_BY_MODERATOR
    # Stopped once more, on purpose, it still came from where it was.
    entered = next((move.from_state for move in reversed(moves) if move.from_state != halted), "")
    tree.halted_from = entered if tree.state == halted else ""
    tree.save(update_fields=["state", "halted_from"])


def _history(locked: LockedTree, facts: TreeFacts) -> list[TreeTransition]:
    """The steps of the tree. Missing ones are written again from the outbox, which tells each; the first of a tree of
    which nothing is told follows from what it contains.
    """
    kept, tree = facts.transitions, locked.tree
    told = list(Happening.objects.filter(tree=tree, kind=Happening.Kind.TREE_MOVED).order_by("id"))
    if kept and not kept[0].from_state and len(kept) > len(told):
        return kept
    if kept and not kept[0].from_state:
        steps, known = [kept[0]], kept[1:]
    else:
        first = State(told[0].data["from"]) if told else _state_without_history(locked, facts)
        first_step = TreeTransition(
            tree=tree, from_state="", to_state=first.value, reason=NO_HISTORY, at=tree.created_at
        )
        steps, known = [first_step], list(kept)
    for one in told:
        source, target = one.data["from"], one.data["to"]
        if known and (known[0].from_state, known[0].to_state) == (source, target):
            steps.append(known.pop(0))
            continue
        again = TreeTransition(tree=tree, from_state=source, to_state=target, reason=FROM_OUTBOX, at=one.at)
        again.actor_id = one.actor_id
        steps.append(again)
    if known:  # the outbox tells another story: nothing to derive it from
        return kept
    TreeTransition.objects.filter(tree=tree).delete()
    for step in steps:
        step.pk = None
    return TreeTransition.objects.bulk_create(steps)


def _state_without_history(locked: LockedTree, facts: TreeFacts) -> State:
    if facts.root is not None and facts.root.imported is not None:
        return State(facts.root.imported.get("tree", {}).get("tree_state", State.BACKLOG_RANKING))
    return transitions.state_of_contents(locked)


def _subjects(check: str, prefix: str) -> list[str]:
    """What this check finds wrong, the first thousand; the next run finds the rest."""
    found = [one.subject for one in tasks.run_named(check)]
    return [subject.removeprefix(prefix) for subject in found if subject.startswith(prefix)]


def _free_holds() -> None:
    """Places that are held for no open task. Compared with the hold of before: somebody may take one just now."""
    read = dict(Opening.objects.exclude(lease=None).values_list("pk", "lease"))
    for opening_id in map(int, _subjects("leases_are_open_tasks", "opening ")):
        held = Opening.objects.filter(pk=opening_id, lease=read.get(opening_id))
        held.update(holder=None, lease=None, held_until=None)


def _copy_texts() -> None:
    """The text of a message is a copy of its revision, which is what people judged."""
    own = Revision.objects.filter(pk=OuterRef("revision"), message=OuterRef("pk"))
    text = Subquery(own.values("text"))
    wrong = ~Q(text=text) | ~Q(text_digest=_sha256(F("text")))
    Message.objects.filter(Exists(own), wrong).update(text=text, text_digest=_sha256(text))


def _sha256(text: F | Subquery) -> Func:
    return Func(Func(text, Value("UTF8"), function="convert_to"), function="sha256", output_field=BinaryField())


def _let_decisions_stand() -> None:
    """An open proposal about a message that a moderator kept is a row in the queue and no more."""
    rows = Proposal.objects.filter(status=Proposal.Status.OPEN, message__kept_at__isnull=False)
    rows.update(hides=False, stops=False)


def _copy_what_is_hidden_or_withdrawn() -> None:
    """Whether a message is hidden or withdrawn is a copy of what stands in proposals and withdrawals. The places of its
    tree are mended later.
    """
    hiding = Proposal.objects.filter(message=OuterRef("pk"), status=Proposal.Status.OPEN, hides=True)
    withdrawals = Withdrawal.objects.filter(message=OuterRef("pk"))
    is_open, is_granted = Q(status=Withdrawal.Status.OPEN), Q(status=Withdrawal.Status.GRANTED)
    waits = Exists(hiding) | Exists(withdrawals.filter(is_open))
    hidden = ExpressionWrapper(waits, output_field=BooleanField())
    withdrawn = Exists(withdrawals.filter(is_open | is_granted))
    Message.objects.exclude(hidden=hidden, withdrawn=withdrawn).update(hidden=hidden, withdrawn=withdrawn)


def _void_what_was_decided() -> None:
    decided = Q(voided_at=None, message__kept_at__gt=F("created_at"))
    kept_at = Subquery(Message.objects.filter(pk=OuterRef("message")).values("kept_at"))
    Reaction.everything.filter(decided, emoji=Reaction.RED_FLAG).update(voided_at=kept_at, overruled=True)
    Skip.everything.filter(decided, kind=Skip.Kind.REPLY).update(voided_at=kept_at)


def _let_go_on() -> None:
    """What complaints stopped, and no moderator is asked about."""
    for tree_id in map(UUID, _subjects("stopped_trees_wait_for_a_moderator", "tree ")):
        with transaction.atomic(durable=True):
            locked = lock_tree(tree_id, current_policy())
            proposals.go_on(locked, actor=None, reason=NOTHING_WAITS)
            transitions.advance(locked)


def _copy_terms() -> None:
    for person_id in _subjects("people_stand_by_their_newest_terms", "user "):
        with transaction.atomic(durable=True):
            person = locks.lock_user(User.objects.get(pk=person_id))
            newest = Consent.objects.filter(user=person, document=consent.TERMS_DOCUMENT, withdrawn_at=None)
            last = newest.order_by("-accepted_at", "-id").first()
            person.terms_version = last.version if last else ""
            person.save(update_fields=["terms_version"])


MENDERS: dict[str, Callable[[], None]] = {
    "leases_are_open_tasks": _free_holds,
    "what_moderators_decided_stands": _let_decisions_stand,
    "hidden_messages_wait_for_a_moderator": _copy_what_is_hidden_or_withdrawn,
    "withdrawn_messages_have_a_withdrawal": _copy_what_is_hidden_or_withdrawn,
    "stopped_trees_wait_for_a_moderator": _let_go_on,
    "complaints_before_a_decision_are_void": _void_what_was_decided,
    "texts_are_their_revisions": _copy_texts,
    "people_stand_by_their_newest_terms": _copy_terms,
}
