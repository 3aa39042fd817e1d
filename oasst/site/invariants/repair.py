"""Repair what can be derived from the facts: counts, decisions, ranks, states, due steps, openings, holds, copies.

What people wrote is never changed. What cannot be derived is left for an operator: messages in the wrong tree, a gap in
a history, a task without its answer. Each tree is repaired in a transaction under its lock, from facts that are read
again there, so it is safe beside other work and can be repeated.
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
from oasst.accounts.names import recompute_name, update_lookalikes
from oasst.site.invariants import decisions, names, tasks
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts, read_trees
from oasst.site.invariants.run import SCORES, TREE_CHECKS, tree_differences
from trees.lifecycle import reply_ranks, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
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
from trees.policies.reading import current_policy

log = structlog.get_logger(__name__)

NO_HISTORY = "Found without a history. Its state follows from what it contains."
FROM_OUTBOX = "Written again from the outbox."
NOTHING_WAITS = "What it was stopped for is gone."


@dataclass(frozen=True)
class Repair:
    difference: Difference
    mended: bool
    why: str = "it cannot be derived"

    def __str__(self) -> str:
        return f"{self.difference}: {'mended' if self.mended else f'left, {self.why}'}"


def repair(policy: TreePolicy, *, batch: int) -> Iterator[Repair]:
    """Repair all differences that can be repaired and yield the result of each. Holds come first, because openings
    depend on them.
    """
    for check, statement in tasks.STATEMENTS.items():
        before = tasks.run_statement(check, statement)
        if before and (mend := REPAIRS.get(check)):
            mend()
        left = {difference.subject for difference in tasks.run_statement(check, statement)} if before else set()
        yield from (Repair(difference, difference.subject not in left) for difference in before)
    yield from _repair_names()
    for tree_id, differences in tree_differences(policy, batch=batch):
        try:
            yield from _repair_tree(tree_id, policy, differences)
        except Exception as error:  # the other trees must still be repaired
            log.exception("tree_not_repaired", tree=str(tree_id))
            yield from (Repair(each, False, f"mending it failed: {error!r}") for each in differences)
    yield from _repair_scores()


def _repair_names() -> Iterator[Repair]:
    """Repair the skeletons first, because which names look alike follows from them."""
    before = list(names.find_differences())
    skeletons: set[str] = set()
    for difference in before:
        with transaction.atomic(durable=True):
            user = locks.lock_user(User.objects.get(pk=difference.subject.removeprefix("user ")))
            skeletons.add(user.name_skeleton)
            recompute_name(user)
            skeletons.add(user.name_skeleton)
    for skeleton in skeletons - {""}:
        update_lookalikes(skeleton)
    left = {difference.subject for difference in names.find_differences()} if before else set()
    yield from (Repair(difference, difference.subject not in left) for difference in before)


def _repair_scores() -> Iterator[Repair]:
    """Repair scores last, because they follow from the trees. All are rebuilt; boards keep the old ones until then."""
    if before := list(rebuild.differences()):
        rebuild.rebuild()
        left = set(rebuild.differences())
        yield from (Repair(Difference(SCORES, *difference), difference not in left) for difference in before)


def _repair_tree(tree_id: UUID, policy: TreePolicy, differences: list[Difference]) -> list[Repair]:
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        # Reactions lock the message and not its tree.
        list(Message.objects.select_for_update(no_key=True).filter(tree=tree_id).order_by("pk").values_list("pk"))
        (facts,) = read_trees(policy, [locked.tree])
        if facts.root is not None and all(m.parent_id in {None, *facts.messages} for m in facts.messages.values()):
            _mend(locked, facts)
        (after,) = read_trees(policy, MessageTree.objects.filter(pk=tree_id))
        left = [difference for check in TREE_CHECKS for difference in check(after)]
    still_broken = {(each.check, each.subject) for each in left}
    mended = [Repair(each, True) for each in differences if (each.check, each.subject) not in still_broken]
    return [*mended, *(Repair(each, False) for each in left)]


def _mend(locked: LockedTree, facts: TreeFacts) -> None:
    _depths_and_positions(locked, facts)
    _reactions(facts)
    _counts(locked, facts)
    _results(locked, facts)
    _state(locked, facts)
    Opening.objects.filter(tree=locked.tree).exclude(lang=locked.tree.lang).update(lang=locked.tree.lang)
    if facts.is_imported and len(facts.transitions) <= 1:
        transitions.save_without_step(locked)  # an imported tree keeps its state until somebody contributes
        return
    if locked.state == State.READY_FOR_EXPORT:
        transitions.rescore(locked)
        parents = {m.parent_id for m in locked.messages.values() if m.parent_id and m.rank is not None}
        locked.changed_messages |= reply_ranks.reset_unranked(locked.messages, parents)
    transitions.advance(locked)


def _depths_and_positions(locked: LockedTree, facts: TreeFacts) -> None:
    """Set depths by the parents, and positions without gaps in the order of the stored ones."""
    for message in sorted(facts.messages.values(), key=lambda m: m.pk):
        depth, ancestor = 0, message
        while ancestor.parent_id is not None and depth <= len(facts.messages):
            ancestor, depth = facts.messages[ancestor.parent_id], depth + 1
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
            # Move all away first: positions must be unique after each statement.
            Message.objects.filter(parent=replies[0].parent_id).update(position=F("position") + 1_000_000)
            for position, message in enumerate(replies):
                Message.objects.filter(pk=message.pk).update(position=position)


def _reactions(facts: TreeFacts) -> None:
    for message_id, expected in decisions.expected_reactions(facts).items():
        if facts.messages[message_id].emojis != expected:
            Message.objects.filter(pk=message_id).update(emojis=expected)


def _counts(locked: LockedTree, facts: TreeFacts) -> None:
    ranked = decisions.count_rankings(facts)
    for message in facts.messages.values():
        stored = locked.messages[message.pk]
        expected = decisions.expected_reviews(facts, message), ranked[message.pk]
        if (stored.review_count, stored.ranking_count) != expected:
            stored.review_count, stored.ranking_count = expected
            locked.changed_messages.add(message.pk)


def _results(locked: LockedTree, facts: TreeFacts) -> None:
    """Set review results. New decisions are written to the outbox, after an event that reopens the message."""
    for difference in decisions.review_results(facts):
        message = locked.messages[UUID(difference.subject.removeprefix("message "))]
        before = message.review_result
        message.review_result = decisions.possible_results(facts, facts.messages[message.pk])[0]
        locked.changed_messages.add(message.pk)
        if message.review_result is None:
            locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
            continue
        accepted, rejected = Happening.Kind.MESSAGE_ACCEPTED, Happening.Kind.MESSAGE_REJECTED
        if not facts.events[message.pk, (accepted if message.review_result else rejected).value]:
            if before is not None:
                locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
            transitions.record_decision(locked, message, facts.votes(facts.messages[message.pk]))
    locked.known_votes = None


def _state(locked: LockedTree, facts: TreeFacts) -> None:
    """Set the state by the history. Both are written together, so a state that differs was damaged."""
    steps, tree = _history(locked, facts), locked.tree
    if tree.state == steps[-1].to_state:
        return
    tree.state = steps[-1].to_state
    halted = State.HALTED_BY_MODERATOR
    # A tree may be halted twice in a row; it resumes the state before both.
    entered = next((step.from_state for step in reversed(steps) if step.from_state != halted), "")
    tree.halted_from = entered if tree.state == halted else ""
    tree.save(update_fields=["state", "halted_from"])


def _history(locked: LockedTree, facts: TreeFacts) -> list[TreeTransition]:
    """Return the steps of the tree, after writing missing ones again from the outbox, which has an event for each.

    Without any event, the first step follows from the contents of the tree.
    """
    stored, tree = facts.transitions, locked.tree
    events = list(Happening.objects.filter(tree=tree, kind=Happening.Kind.TREE_MOVED).order_by("id"))
    if stored and not stored[0].from_state and len(stored) > len(events):
        return stored
    if stored and not stored[0].from_state:
        steps, unmatched = [stored[0]], stored[1:]
    else:
        first = State(events[0].data["from"]) if events else _state_without_history(locked, facts)
        first_step = TreeTransition(
            tree=tree, from_state="", to_state=first.value, reason=NO_HISTORY, at=tree.created_at
        )
        steps, unmatched = [first_step], list(stored)
    for event in events:
        source, target = event.data["from"], event.data["to"]
        if unmatched and (unmatched[0].from_state, unmatched[0].to_state) == (source, target):
            steps.append(unmatched.pop(0))
            continue
        restored = TreeTransition(tree=tree, from_state=source, to_state=target, reason=FROM_OUTBOX, at=event.at)
        restored.actor_id = event.actor_id
        steps.append(restored)
    if unmatched:  # the outbox contradicts the history, so neither can be derived
        return stored
    TreeTransition.objects.filter(tree=tree).delete()
    for step in steps:
        step.pk = None
    return TreeTransition.objects.bulk_create(steps)


def _state_without_history(locked: LockedTree, facts: TreeFacts) -> State:
    if facts.root is not None and facts.root.imported is not None:
        return State(facts.root.imported.get("tree", {}).get("tree_state", State.BACKLOG_RANKING))
    return transitions.state_from_messages(locked)


def _subjects(check: str, prefix: str) -> list[str]:
    """Return the ids of the first thousand subjects that a check reports; the next run finds the rest."""
    subjects = [difference.subject for difference in tasks.run_check(check)]
    return [subject.removeprefix(prefix) for subject in subjects if subject.startswith(prefix)]


def _free_holds() -> None:
    """Free openings that are held for no open task, unless they have got a new hold meanwhile."""
    leases = dict(Opening.objects.exclude(lease=None).values_list("pk", "lease"))
    for opening_id in map(int, _subjects("leases_are_open_tasks", "opening ")):
        held = Opening.objects.filter(pk=opening_id, lease=leases.get(opening_id))
        held.update(holder=None, lease=None, held_until=None)


def _copy_texts() -> None:
    """Copy the text of each message from its revision, which is the text that people reviewed."""
    own = Revision.objects.filter(pk=OuterRef("revision"), message=OuterRef("pk"))
    text = Subquery(own.values("text"))
    wrong = ~Q(text=text) | ~Q(text_digest=_sha256(F("text")))
    Message.objects.filter(Exists(own), wrong).update(text=text, text_digest=_sha256(text))


def _sha256(text: F | Subquery) -> Func:
    return Func(Func(text, Value("UTF8"), function="convert_to"), function="sha256", output_field=BinaryField())


def _clear_effects_on_kept_messages() -> None:
    """Take the effects from open proposals about messages that a moderator kept; they stay in the queue."""
    rows = Proposal.objects.filter(status=Proposal.Status.OPEN, message__kept_at__isnull=False)
    rows.update(hides=False, stops=False)


def _copy_hidden_and_withdrawn() -> None:
    """Set `hidden` and `withdrawn` of messages by proposals and withdrawals; openings are repaired later."""
    hiding = Proposal.objects.filter(message=OuterRef("pk"), status__in=Proposal.IN_FORCE, hides=True)
    withdrawals = Withdrawal.objects.filter(message=OuterRef("pk"))
    is_open, is_granted = Q(status=Withdrawal.Status.OPEN), Q(status=Withdrawal.Status.GRANTED)
    waits = Exists(hiding) | Exists(withdrawals.filter(is_open))
    hidden = ExpressionWrapper(waits, output_field=BooleanField())
    kept = Exists(Proposal.objects.filter(message=OuterRef("pk"), status=Proposal.Status.HIDDEN))
    copies = {"hidden": hidden, "kept_hidden": kept, "withdrawn": Exists(withdrawals.filter(is_open | is_granted))}
    Message.objects.exclude(**copies).update(**copies)


def _void_decided_complaints() -> None:
    decided = Q(voided_at=None, message__kept_at__gt=F("created_at"))
    kept_at = Subquery(Message.objects.filter(pk=OuterRef("message")).values("kept_at"))
    Reaction.everything.filter(decided, emoji=Reaction.RED_FLAG).update(voided_at=kept_at, overruled=True)
    Skip.everything.filter(decided, kind=Skip.Kind.REPLY).update(voided_at=kept_at)


def _resume_stopped_trees() -> None:
    """Resume trees that complaints stopped and that no open proposal is about."""
    for tree_id in map(UUID, _subjects("stopped_trees_wait_for_a_moderator", "tree ")):
        with transaction.atomic(durable=True):
            locked = lock_tree(tree_id, current_policy())
            proposals.resume_if_decided(locked, actor=None, reason=NOTHING_WAITS)
            transitions.advance(locked)


def _copy_terms() -> None:
    for user_id in _subjects("people_stand_by_their_newest_terms", "user "):
        with transaction.atomic(durable=True):
            user = locks.lock_user(User.objects.get(pk=user_id))
            consents = Consent.objects.filter(user=user, document=consent.TERMS_DOCUMENT, withdrawn_at=None)
            newest = consents.order_by("-accepted_at", "-id").first()
            user.terms_version = newest.version if newest else ""
            user.save(update_fields=["terms_version"])


REPAIRS: dict[str, Callable[[], None]] = {
    "leases_are_open_tasks": _free_holds,
    "what_moderators_decided_stands": _clear_effects_on_kept_messages,
    "hidden_messages_wait_for_a_moderator": _copy_hidden_and_withdrawn,
    "moderators_hid_what_stays_hidden": _copy_hidden_and_withdrawn,
    "withdrawn_messages_have_a_withdrawal": _copy_hidden_and_withdrawn,
    "stopped_trees_wait_for_a_moderator": _resume_stopped_trees,
    "complaints_before_a_decision_are_void": _void_decided_complaints,
    "texts_are_their_revisions": _copy_texts,
    "people_stand_by_their_newest_terms": _copy_terms,
}
