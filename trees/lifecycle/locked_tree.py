"""A locked tree: its row locked, its messages and openings read, changes collected in memory.

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
from trees.access import message_not_found
from trees.lifecycle.consensus import Vote, vote_of
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Happening, Message, MessageTree, Opening, Revision, TreeTransition
from trees.outbox import publishing

# A hold that lasts longer cannot expire and be taken over during this transaction.
SURELY_HELD = timedelta(seconds=10)


@dataclass
class LockedTree:
    """A locked tree with its messages and openings in memory, and the changes to save."""

    tree: MessageTree
    site_policy: TreePolicy
    messages: dict[UUID, Message]
    openings: list[Opening]
    now: datetime
    events: list[Happening] = field(default_factory=list)
    new_transitions: list[TreeTransition] = field(default_factory=list)
    changed_messages: set[UUID] = field(default_factory=set)
    used_openings: set[int] = field(default_factory=set)
    known_votes: dict[UUID, list[Vote]] | None = None

    @property
    def policy(self) -> TreePolicy:
        """Return the policy of the tree's language, also after it was moved to another one."""
        return self.site_policy.in_language(self.tree.lang)

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

    def votes(self) -> dict[UUID, list[Vote]]:
        """Return the votes on the present text of each undecided message by its id, in order of arrival."""
        if self.known_votes is None:
            undecided = {m.pk: m.revision_id for m in self.messages.values() if m.review_result is None}
            self.known_votes = {message_id: [] for message_id in undecided}
            rows = Revision.objects.reviews(undecided.values()) if undecided else []
            for message_id, labels, finds, spares in rows:
                self.known_votes[message_id].append(vote_of(labels, finds, spares))
        return self.known_votes

    def record(self, kind: Happening.Kind, *, message: Message | None = None, **fields: Any) -> None:
        """Add an outbox event, which `save` writes."""
        if message is not None:
            fields = {"message_id": message.pk, "subject_id": message.author_id, **fields}
        self.events.append(Happening(kind=kind, at=self.now, tree_id=self.tree.pk, **fields))

    def use_opening(self, *, message: Message, work: Work, lease: UUID | None) -> None:
        """Use the opening for this work that `lease` holds, else any free one. Raise Gone if there is none.

        A late submission without a valid hold still succeeds while an opening is free.
        """
        usable = [
            o for o in self.openings if o.message_id == message.pk and o.work == work and o.pk not in self.used_openings
        ]
        held = [o for o in usable if lease is not None and o.lease == lease]
        if held and held[0].is_held(self.now + SURELY_HELD):
            self.used_openings.add(held[0].pk)
            return
        claimed = self._claim([*held, *(o for o in usable if not o.is_held(self.now))])
        if not claimed and self.state in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE):
            raise tree_stopped()
        if not claimed:
            raise Gone(
                "Others were quicker: this message needs no more of this work.",
                code="no_place_left",
                hint="What you wrote is kept as a draft.",
            )
        self.used_openings.add(next((o.pk for o in claimed if o.lease == lease), claimed[0].pk))

    def _claim(self, openings: list[Opening]) -> list[Opening]:
        """Lock and return the openings that are unchanged since they were read; another user may be taking one."""
        leases = {opening.pk: opening.lease for opening in openings}
        rows = Opening.objects.select_for_update(skip_locked=True).filter(pk__in=leases).order_by("pk")
        return [opening for opening in rows if opening.lease == leases[opening.pk]] if leases else []

    def release_opening(self, lease: UUID) -> None:
        """Free the opening held under this lease, if any. The caller goes on to `transitions.advance`."""
        self.lock_openings(o.pk for o in self.openings if o.lease == lease)
        for opening in [o for o in self.openings if o.lease == lease]:
            opening.holder_id = opening.lease = opening.held_until = None
            opening.save(update_fields=["holder", "lease", "held_until"])

    def lock_openings(self, ids: Iterable[int]) -> None:
        """Lock these openings and read them again. The fixed order prevents deadlocks."""
        pks = set(ids)
        rows = {o.pk: o for o in Opening.objects.select_for_update().filter(pk__in=pks).order_by("pk")}
        self.openings = [rows.get(o.pk, o) for o in self.openings if o.pk in rows or o.pk not in pks]

    def save(self) -> None:
        """Write the changes collected in memory: messages, state, history and outbox events."""
        if self.changed_messages:
            Message.objects.save_decisions([self.messages[pk] for pk in sorted(self.changed_messages)])
        if any(step.from_state for step in self.new_transitions):
            MessageTree.objects.save_fields(self.tree, ("state", "state_since", "won_prompt_lottery_at", "halted_from"))
        if self.new_transitions:
            TreeTransition.objects.insert(*self.new_transitions)
        publishing.publish(self.events)
        self.changed_messages, self.new_transitions, self.events = set(), [], []


def update_columns(message: Message, **fields: object) -> None:
    """Write these columns now, not in `LockedTree.save`: users who react lock the message, not its tree."""
    for name, value in fields.items():
        setattr(message, name, value)
    Message.objects.filter(pk=message.pk).update(**fields)


def lock_tree(tree_id: UUID, policy: TreePolicy) -> LockedTree:
    """Lock a tree and read its messages (without texts) and openings. Three statements. Raise NotFound.

    `policy` is that of the site: the language of the tree is known under the lock.
    """
    try:
        tree = MessageTree.objects.locked(tree_id)
    except MessageTree.DoesNotExist:
        raise NotFound("This conversation does not exist any more.", code="tree_not_found") from None
    return LockedTree(
        tree=tree,
        site_policy=policy,
        messages={message.pk: message for message in Message.objects.of_tree(tree_id)},
        openings=Opening.objects.of_tree(tree_id),
        now=timezone.now(),
    )


def tree_stopped() -> Gone:
    return Gone("This conversation was stopped and takes nothing more.", code="tree_stopped")


def lock_message(message_id: UUID, policy: TreePolicy) -> tuple[LockedTree, Message]:
    """Lock the tree of a message as `lock_tree` does; return both. Four statements. Raise NotFound."""
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        raise message_not_found()
    locked = lock_tree(tree_id, policy)
    return locked, locked.message(message_id)


def new_tree(tree: MessageTree, root: Message, policy: TreePolicy, reason: str, actor: User | None) -> LockedTree:
    """Return the LockedTree of a tree that this transaction has just created: nobody else can see it yet."""
    locked = LockedTree(tree=tree, site_policy=policy, messages={root.pk: root}, openings=[], now=timezone.now())
    locked.known_votes = {}
    locked.new_transitions.append(
        TreeTransition(tree=tree, from_state="", to_state=tree.state, reason=reason, actor=actor, at=locked.now)
    )
    return locked
