"""What an act of a moderator changed in a tree, so that it can be undone.

`recorded` compares the tree before and after the act, row by row, and keeps the difference with the entry of the audit
log. `revert` puts each column back that still has the value which the act gave it; what others changed since stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model, Q

from oasst.accounts.models import ApiClient, User
from oasst.accounts.rights import require_language
from oasst.core.audit.acts import Act
from oasst.core.audit.putting_back import Changes, as_stored, built_on, read_changes, set_columns
from oasst.core.audit.recording import record
from oasst.core.audit.rows import Columns, Recorded, Rows, Watched, as_plain, difference
from oasst.core.models import AuditEntry
from trees.contributing.posting import hash_text
from trees.enrichment import queue
from trees.lifecycle import demand, openings, policy_change, transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import REPLY_WORK, State, Work
from trees.models import (
    Deletion,
    Happening,
    Message,
    MessageReading,
    MessageTree,
    NearDuplicate,
    Opening,
    Proposal,
    Reaction,
    ReadingKind,
    Report,
    Review,
    Revision,
    Skip,
    TreeTransition,
    Withdrawal,
)
from trees.moderation import language_moves, removal, telling


@dataclass(frozen=True)
class _Kind:
    """A table of which rows belong to a tree, and the columns that acts change."""

    model: type[Model]
    tree: str
    columns: tuple[str, ...]
    only: Q = field(default_factory=Q)

    def read(self, locked: LockedTree) -> dict[str, Columns]:
        of_tree = Q(**{self.tree: locked.tree.pk})
        if self.model is NearDuplicate:  # by ids, since each of its two messages has an index
            of_tree = Q(first__in=locked.messages) | Q(second__in=locked.messages)
        return Watched(_all(self.model).filter(self.only, of_tree), self.columns).read()


_DECISIONS = ("deleted", "review_result", "review_count", "rank", "ranking_count")
"""Columns of messages that are kept in memory until the locked tree is saved."""
_KINDS = {
    "tree": _Kind(
        MessageTree,
        "pk",
        ("state", "halted_from", "lang", *policy_change.SIZES, "won_prompt_lottery_at"),
    ),
    "message": _Kind(
        Message,
        "tree",
        (*_DECISIONS, "hidden", "kept_hidden", "withdrawn", "kept_at", "edited", "looks_like", "lang", "revision_id"),
    ),
    "proposal": _Kind(
        Proposal, "tree", ("hides", "stops", "voices", "status", "decided_at", "decided_by_id", "reason")
    ),
    "withdrawal": _Kind(Withdrawal, "tree", ("status", "decided_at", "decided_by_id", "answer")),
    "report": _Kind(Report, "message__tree", ("status", "outcome", "handled_by_id", "handled_at")),
    "reaction": _Kind(Reaction, "message__tree", ("voided_at", "overruled")),
    "skip": _Kind(Skip, "message__tree", ("voided_at",)),
    "deletion": _Kind(Deletion, "tree", ("undone_at", "undone_by_id", "undo_reason")),
    "revision": _Kind(Revision, "message__tree", ()),
    "pair": _Kind(NearDuplicate, "", ("status", "reason", "decided_by_id", "decided_at")),
    "reading": _Kind(
        MessageReading,
        "revision__message__tree",
        ("flagged", "settled_at"),
        Q(kind=ReadingKind.PERSONAL_DATA),
    ),
}
_HOLD = ("message_id", "work", "holder_id", "held_until")
"""What is kept of an opening that somebody holds, by its lease: an act that closes it takes their work away."""
_PUT_BACK = ("proposal", "withdrawal", "report", "reaction", "skip", "deletion", "pair", "reading")
"""Tables whose rows have no other copy in memory, in the order of their locks."""
_IN_FORCE = {"proposal": Proposal.IN_FORCE, "withdrawal": (Withdrawal.Status.OPEN,)}
"""Tables of which a message has one row with such a status at most."""


def _all(model: type[Model]) -> Any:
    """Return all rows, also those that a purge set aside."""
    return getattr(model, "everything", model._default_manager)


# --- Recording ---


@contextmanager
def recorded(
    locked: LockedTree,
    act: Act,
    target: Model,
    *,
    actor: User | None,
    program: ApiClient | None = None,
    person_id: UUID | None = None,
    reason: str,
    always: bool = True,
) -> Iterator[Recorded]:
    """Write the block, which acts on a locked tree and ends in `transitions.advance`, into the audit log; without
    `always` only if it changes something.

    Raise NotAllowed `other_language` for a moderator of other languages: every act on a tree passes here.
    """
    if actor is not None:
        require_language(actor, locked.tree.lang)
    before = _read(locked)
    newest = Happening.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    done = Recorded()
    yield done
    after = _read(locked)
    changes = Changes(*difference(before, after))
    if not (changes.after or always):
        return
    told = Happening.objects.filter(tree=locked.tree, pk__gt=newest, kind__in=Happening.NOTICEABLE).order_by("pk")
    told = told.filter(Q(actor=actor) | Q(at=locked.now))
    done.entry = record(
        act,
        target,
        actor=actor,
        program=program,
        person_id=person_id,
        reason=reason,
        before=changes.before,
        after={**changes.after, "told": list(told.values_list("pk", flat=True))},
    )
    telling.tell(locked, done.entry, changes)


def _read(locked: LockedTree) -> Rows:
    rows = {name: kind.read(locked) for name, kind in _KINDS.items()}
    rows["tree"][str(locked.tree.pk)]["halt"] = _reason_of_halt(locked)
    holds = Opening.objects.filter(tree=locked.tree, held_until__gt=locked.now).order_by("lease")
    rows["hold"] = {
        str(lease): dict(zip(_HOLD, map(as_plain, values), strict=True))
        for lease, *values in holds.values_list("lease", *_HOLD)
    }
    return rows


def _reason_of_halt(locked: LockedTree) -> str:
    """Return why the tree is halted, which decides whether it may go on by itself; "" if it is not."""
    if locked.state != State.HALTED_BY_MODERATOR:
        return ""
    last = TreeTransition.objects.filter(tree=locked.tree).order_by("-id").values_list("reason", flat=True).first()
    return last or ""


# --- Reverting ---


@dataclass
class _Revert:
    locked: LockedTree
    changes: Changes
    actor: User
    reason: str
    at: datetime
    """When the act was done."""
    shown: list[UUID] = field(default_factory=list)
    taken_away: list[UUID] = field(default_factory=list)
    moved: list[UUID] = field(default_factory=list)
    """Ids of messages: those that readers see again, that they no longer see, that are in their former language."""
    resized: bool = False
    """The tree has the sizes that it had before the act."""

    def run(self) -> None:
        self._refuse_later_texts()
        for table in _PUT_BACK:
            self._put_rows_back(table)
        ranks_differ = self._put_messages_back()
        self._delete_new_texts()
        self._put_tree_back()
        if (self.shown or self.resized) and self._others_wrote():
            transitions.raise_sizes(self.locked)
        if ranks_differ:
            transitions.rescore(self.locked)
        self._tell_readers()
        transitions.advance(self.locked, actor=self.actor)
        self._hold_again()

    def _others_wrote(self) -> bool:
        """Return True if somebody wrote or writes in the stead of what comes back. Without that the sizes stay: an
        imported tree may be larger than they are.
        """
        writing = Opening.objects.filter(tree=self.locked.tree, work__in=REPLY_WORK, held_until__gt=self.locked.now)
        written = Message.objects.filter(tree=self.locked.tree, created_at__gt=self.at)
        return bool(writing.exists() or written.exists())

    def _put_rows_back(self, table: str) -> None:
        kind = _KINDS[table]
        pairs = {pk: (old, new) for pk, old, new in self.changes.pairs(table)}
        if not pairs:
            return
        rows = _all(kind.model).select_for_update(of=("self",), no_key=True).filter(pk__in=pairs).order_by("pk")
        for row in rows:
            old, new = pairs[str(row.pk)]
            if old is None:
                self._end_new_row(table, row, new)
            elif (fields := _still(row, old, new)) and self._may_come_into_force(table, row, fields):
                set_columns(row, fields)
                row.save(update_fields=[name.removesuffix("_id") for name in fields])

    def _end_new_row(self, table: str, row: Any, new: dict[str, Any]) -> None:
        """A deletion that the act made stays as an undone one. A proposal by which it hid a message is deleted."""
        if table == "deletion" and row.undone_at is None:
            row.undone_at, row.undone_by, row.undo_reason = self.locked.now, self.actor, self.reason
            row.save(update_fields=["undone_at", "undone_by", "undo_reason"])
        elif table == "proposal" and new["status"] == row.status == Proposal.Status.HIDDEN:
            row.delete()

    def _may_come_into_force(self, table: str, row: Any, fields: dict[str, Any]) -> bool:
        """Return False if something newer about the same message is in force instead. An open proposal that was made
        from later complaints gives way: the earlier one asks the same.
        """
        statuses = _IN_FORCE.get(table, ())
        if fields.get("status") not in statuses:
            return True
        newer = type(row).objects.filter(message=row.message_id, status__in=statuses).exclude(pk=row.pk).first()
        if table == "proposal" and newer is not None and newer.status == Proposal.Status.OPEN and not newer.acts:
            newer.delete()
            newer = None
        return newer is None

    def _put_messages_back(self) -> bool:
        """Return True if the ranks have to be computed again, because others changed some since."""
        changed = {UUID(pk): (old, new) for pk, old, new in self.changes.pairs("message")}
        names = {name for _, new in changed.values() for name in new}
        rows = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=changed).order_by("pk")
        stored = {row["pk"]: row for row in rows.values("pk", *names)} if changed else {}
        to_write: dict[tuple[tuple[str, Any], ...], list[UUID]] = defaultdict(list)
        ranks_differ = False
        for pk, (old, new) in changed.items():
            message = self.locked.messages[pk]
            fields = {name: old[name] for name in new if as_plain(stored[pk][name]) == new[name]}
            ranks_differ |= "rank" in new and "rank" not in fields
            if "review_result" in fields and fields["review_result"] is None:  # the act let the reviews of then decide
                self.locked.record(Happening.Kind.MESSAGE_REOPENED, message=message)
            self._note_what_readers_see(message, fields)
            for name in set(fields) & set(_DECISIONS):
                setattr(message, name, fields[name])
                self.locked.changed_messages.add(pk)
            columns = {name: as_stored(Message, name, fields[name]) for name in fields if name not in _DECISIONS}
            if "revision_id" in columns:
                columns |= _text_of(columns["revision_id"])
            for name, value in columns.items():
                setattr(message, name, value)
            if "lang" in columns:
                self.moved.append(pk)
            if columns:
                to_write[tuple(sorted(columns.items()))].append(pk)
        for values, pks in to_write.items():  # few groups: an act changes most messages alike
            Message.objects.filter(pk__in=pks).update(**dict(values))
        if self.shown:
            removal.refuse_purged(self.shown)
            queue.mark_unread(self.shown)
        self.locked.known_votes = None
        return ranks_differ

    def _note_what_readers_see(self, message: Message, fields: dict[str, Any]) -> None:
        will_be_withheld = fields.get("deleted", message.deleted) or fields.get("hidden", message.hidden)
        if message.is_withheld != will_be_withheld:
            (self.taken_away if will_be_withheld else self.shown).append(message.pk)

    def _tell_readers(self) -> None:
        """Tell API clients which messages are back or gone: one event for the topmost of each branch, as when it is
        deleted. Nobody gets a notice of it, since those of the act are taken back.
        """
        kinds = (Happening.Kind.MESSAGE_RESTORED, self.shown), (Happening.Kind.MESSAGE_DELETED, self.taken_away)
        for kind, ids in kinds:
            for message in (self.locked.messages[pk] for pk in ids):
                if message.parent_id not in ids:
                    self.locked.record(kind, message=message, actor=self.actor, noticed=True, data={"undone": True})

    def _new_texts(self) -> list[UUID]:
        return [UUID(pk) for pk, old, _ in self.changes.pairs("revision") if old is None]

    def _refuse_later_texts(self) -> None:
        """Raise Conflict if the text that the act gave was judged, or replaced once more."""
        texts = self._new_texts()
        if not texts:
            return
        in_use = set(Message.objects.filter(revision__in=texts).values_list("revision_id", flat=True))
        judged = any(rows.filter(revision__in=texts).exists() for rows in (Review.everything, Proposal.objects))
        if len(in_use) < len(texts) or judged:
            raise built_on()

    def _delete_new_texts(self) -> None:
        if texts := self._new_texts():
            Revision.objects.filter(pk__in=texts).delete()

    def _put_tree_back(self) -> None:
        tree = self.locked.tree
        for _, old, new in self.changes.pairs("tree"):
            others = {name: old[name] for name in new if name not in ("state", "halted_from", "halt")}
            if fields := _still(tree, others, {name: new[name] for name in others}):
                self.resized = not policy_change.SIZES.keys().isdisjoint(fields)
                if "max_depth" in fields:
                    fields["max_depth"] = demand.depth_at_least(self.locked, fields["max_depth"], since=self.at)
                set_columns(tree, fields)
                tree.save(update_fields=list(fields))
            if self.moved or "lang" in fields:
                language_moves.follow(self.locked, self.moved, actor=self.actor)
            if "state" in new:
                self._return(State(old["state"]), State(new["state"]), old.get("halted_from"), old.get("halt", ""))
            elif "halt" in new and _reason_of_halt(self.locked) == new["halt"]:
                transitions.halt(self.locked, reason=old["halt"], actor=self.actor)  # it was halted for another reason

    def _hold_again(self) -> None:
        """Give those their work back who had it when the act closed it."""
        lost = [(UUID(lease), old) for lease, old, new in self.changes.pairs("hold") if old and new is None]
        people = User.objects.in_bulk([UUID(old["holder_id"]) for _, old in lost])
        for lease, old in lost:
            until = datetime.fromisoformat(old["held_until"])
            if until > self.locked.now and (holder := people.get(UUID(old["holder_id"]))):
                work, message_id = Work(old["work"]), UUID(old["message_id"])
                openings.hold_again(self.locked, message_id, work, holder=holder, lease=lease, until=until)

    def _return(self, old: State, new: State, halted_from: str | None, halt: str) -> None:
        """Return to the state before. A tree that went on meanwhile stays where it is, or is halted there again."""
        is_where_it_was = self.locked.state == new
        halts = old == State.HALTED_BY_MODERATOR
        if not is_where_it_was and not halts:
            return
        reason = halt or self.reason
        transitions.return_to_state(self.locked, old, reason=reason, actor=self.actor)
        if is_where_it_was and halted_from is not None:
            self.locked.tree.halted_from = halted_from


def revert(locked: LockedTree, entry: AuditEntry, *, actor: User, reason: str) -> None:
    """Undo the act of this entry on the tree, and end in `transitions.advance`. An outbox event names the events that
    had told of the act. Raise Conflict (`built_on`, `erased`, `purged`).
    """
    changes = read_changes(entry)
    _Revert(locked, changes, actor, reason, entry.at).run()
    told: dict[str, Any] = {
        "entry": entry.pk,
        "told": [*changes.after.get("told", []), *telling.events_of(locked, entry)],
    }
    locked.record(Happening.Kind.ACT_UNDONE, message=locked.root, actor=actor, data=told)
    locked.save()


def _still(row: Any, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the columns to put back: those that have the value which the act gave them."""
    return {name: old[name] for name in new if as_plain(getattr(row, name)) == new[name]}


def _text_of(revision_id: UUID) -> dict[str, Any]:
    text = Revision.objects.values_list("text", flat=True).get(pk=revision_id)
    return {"text": text, "text_digest": hash_text(text)}
