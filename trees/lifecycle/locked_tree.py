"""A locked tree: its row locked, its messages and openings read, and what has to be written gathered in memory.

Services such as `posting` and `reviews` lock a tree, change its messages, and end in `transitions.advance`, which saves
everything once. Needs an open transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Gone, NotFound
from trees.access import no_message
from trees.lifecycle import consensus
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Happening, Message, MessageTree, Opening, Revision, TreeTransition
from trees.outbox import publishing

# A hold that lasts longer can not run out, and be taken over, while this transaction lasts.
SURELY_HELD = timedelta(seconds=10)


@dataclass
class LockedTree:
    """A locked tree with its messages and openings in memory, and what has to be written about it."""

    tree: MessageTree
    policy: TreePolicy
    messages: dict[UUID, Message]
    openings: list[Opening]
    now: datetime
    happenings: list[Happening] = field(default_factory=list)
    new_transitions: list[TreeTransition] = field(default_factory=list)
    changed_messages: set[UUID] = field(default_factory=set)
    used_openings: set[int] = field(default_factory=set)
    known_votes: dict[UUID, list[bool]] | None = None

    @property
    def root(self) -> Message:
        return self.messages[self.tree.pk]

    @property
    def state(self) -> State:
        return State(self.tree.state)

    def message(self, message_id: UUID) -> Message:
        try:
            return self.messages[message_id]
        except KeyError:
            raise NotFound("This message does not exist any more.", code="message_not_found") from None

    def votes(self) -> dict[UUID, list[bool]]:
        """Message id → for each review of its present text whether it would reject; undecided messages only."""
        if self.known_votes is None:
            undecided = {m.pk: m.revision_id for m in self.messages.values() if m.review_result is None}
            self.known_votes = {message_id: [] for message_id in undecided}
            given = Revision.objects.labels_given(undecided.values()) if undecided else []
            for message_id, labels in given:
                self.known_votes[message_id].append(consensus.rejects(labels))
        return self.known_votes

    def record(self, kind: Happening.Kind, *, message: Message | None = None, **fields: Any) -> None:
        """Note a fact for the outbox; it is written with everything else."""
        if message is not None:
            fields = {"message_id": message.pk, "subject_id": message.author_id, **fields}
        self.happenings.append(Happening(kind=kind, at=self.now, tree_id=self.tree.pk, **fields))

    def take_place(self, *, message: Message, work: Work, lease: UUID | None) -> None:
        """Use up the place that this work needs: the one held under `lease`, else any that is free.

        Holding is not validity: somebody who comes late still gets in while there is a free place.
        """
        here = [
            o for o in self.openings if o.message_id == message.pk and o.work == work and o.pk not in self.used_openings
        ]
        mine = [o for o in here if lease is not None and o.lease == lease]
        if mine and mine[0].is_held(self.now + SURELY_HELD):
            self.used_openings.add(mine[0].pk)
            return
        claimed = self._claim([*mine, *(o for o in here if not o.is_held(self.now))])
        if not claimed and self.state in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
            raise Gone("This conversation was stopped and takes nothing more.", code="tree_stopped")
        if not claimed:
            raise Gone(
                "Others were quicker: this message needs no more of this work.",
                code="no_place_left",
                hint="What you wrote is kept as a draft.",
            )
        self.used_openings.add(next((o.pk for o in claimed if o.lease == lease), claimed[0].pk))

    def _claim(self, openings: list[Opening]) -> list[Opening]:
        """Those of the openings that still are as they were read. Somebody may be taking one of them at this moment."""
        read = {opening.pk: opening.lease for opening in openings}
        rows = Opening.objects.select_for_update(skip_locked=True).filter(pk__in=read).order_by("pk")
        return [opening for opening in rows if opening.lease == read[opening.pk]] if read else []

    def let_go(self, lease: UUID) -> None:
        """Free the place that is held under this lease, if there is one. The caller goes on to `transitions.advance`:
        perhaps nobody wants this work any more.
        """
        mine = [one.pk for one in self.openings if one.lease == lease]
        self.lock_openings(mine)
        for opening in [one for one in self.openings if one.lease == lease]:
            opening.holder_id = opening.lease = opening.held_until = None
            opening.save(update_fields=["holder", "lease", "held_until"])

    def lock_openings(self, ids: Iterable[int]) -> None:
        """Keep others from taking or leaving these places, and see how they stand now. In one order, so that two who
        lock do not wait for each other.
        """
        wanted = set(ids)
        found = {one.pk: one for one in Opening.objects.select_for_update().filter(pk__in=wanted).order_by("pk")}
        self.openings = [found.get(one.pk, one) for one in self.openings if one.pk in found or one.pk not in wanted]

    def save(self) -> None:
        """Write what was changed in memory: messages, state, history, and the facts for the outbox."""
        if self.changed_messages:
            Message.objects.save_decisions([self.messages[one] for one in sorted(self.changed_messages)])
        if any(one.from_state for one in self.new_transitions):
            MessageTree.objects.store(self.tree, ("state", "state_since", "won_prompt_lottery_at", "halted_from"))
        if self.new_transitions:
            TreeTransition.objects.insert(*self.new_transitions)
        publishing.tell(self.happenings)
        self.changed_messages, self.new_transitions, self.happenings = set(), [], []


def mark(message: Message, **fields: object) -> None:
    """Write these columns at once and not with the rest: whoever reacts locks the message and not its tree."""
    for name, value in fields.items():
        setattr(message, name, value)
    Message.objects.filter(pk=message.pk).update(**fields)


def lock_tree(tree_id: UUID, policy: TreePolicy) -> LockedTree:
    """Lock a tree and read its messages (without texts) and openings. Three statements. Raises NotFound."""
    try:
        tree = MessageTree.objects.locked(tree_id)
    except MessageTree.DoesNotExist:
        raise NotFound("This conversation does not exist any more.", code="tree_not_found") from None
    return LockedTree(
        tree=tree,
        policy=policy,
        messages={message.pk: message for message in Message.objects.of_tree(tree_id)},
        openings=Opening.objects.of_tree(tree_id),
        now=timezone.now(),
    )


def lock_message(message_id: UUID, policy: TreePolicy) -> tuple[LockedTree, Message]:
    """The message in its tree, as `lock_tree`. Four statements. Raises NotFound."""
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        raise no_message()
    locked = lock_tree(tree_id, policy)
    return locked, locked.message(message_id)


def new_tree(tree: MessageTree, root: Message, policy: TreePolicy, reason: str, actor: User | None) -> LockedTree:
    """A tree that this transaction has just made, as a locked one."""
    locked = LockedTree(tree=tree, policy=policy, messages={root.pk: root}, openings=[], now=timezone.now())
    locked.known_votes = {}
    locked.new_transitions.append(
        TreeTransition(tree=tree, from_state="", to_state=tree.state, reason=reason, actor=actor, at=locked.now)
    )
    return locked
