"""Proposals to remove a message, made by many complaints, until a moderator decides.

A proposal hides its message or halts its tree but deletes nothing, so dismissing it leaves everything as it was. A
decision holds: it voids earlier complaints, and later ones only bring the message back into the queue. A new text is a
new case. Decision 55.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from datetime import datetime

from django.db.models import Q

from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from trees.contributing import withdrawal_effects
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, update_columns
from trees.lifecycle.states import State
from trees.models import Happening, Message, Proposal, Reaction, Report, Skip
from trees.moderation import banned_authors, notices

MODERATED_STATES = frozenset({State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING})
"""States in which complaints act automatically. Finished trees and those in ranking are left to moderators."""
_HALTS = (transitions.TOO_MANY_FLAGS, transitions.TOO_MANY_SKIPS, transitions.PROMPT_HIDDEN)
TEXT_CHANGED = "Its text was changed."
TOO_FEW_COMPLAINTS = "Too few of those who complained still count."


def propose(locked: LockedTree, message: Message, *, kind: Proposal.Kind, voices: int, may_act: bool) -> bool:
    """Queue the message for moderators; if it `may_act` and no moderator kept this text, hide it or halt its tree.

    A message has one open proposal; a repeat changes nothing. Return True on any change.
    """
    existing = _open_proposal(message)
    acts = may_act and locked.state in MODERATED_STATES and message.kept_at is None
    hides = acts and kind == Proposal.Kind.FLAGS
    stops = acts and (kind == Proposal.Kind.SKIPS or message.parent_id is None)
    if existing is not None and not (hides and not existing.hides) and not (stops and not existing.stops):
        return False
    proposal = existing or Proposal(tree=locked.tree, message=message, revision_id=message.revision_id)
    proposal.kind, proposal.voices = kind, voices
    proposal.hides, proposal.stops = proposal.hides or hides, proposal.stops or stops
    proposal.save()
    if hides:
        update_columns(message, hidden=True)
    if stops:
        _stop(locked, kind)
    _record_event(locked, Happening.Kind.REMOVAL_PROPOSED, proposal, None)
    return True


def keep_message(
    locked: LockedTree, message: Message, *, actor: User | None, reason: str, resumes: bool = True
) -> None:
    """Decide that this text stays: show it, void its complaints, and let complaints no longer act on it.

    A tree that they had halted resumes, unless `resumes` is False and the caller does that. Deciding an open proposal
    also answers the open reports, and once more those that were upheld when a moderator hid the message.
    """
    hiding = _in_force(message) if message.kept_hidden else None
    _void(locked, message, overruled=True)
    _show(locked, message, kept_at=locked.now)
    if _close(locked, message, Proposal.Status.DISMISSED, actor=actor, reason=reason, resumes=resumes):
        outcome, answered_at = f"The message stays: {reason}", hiding.decided_at if hiding else None
        answer_reports(locked, message, Report.Status.DISMISSED, actor=actor, outcome=outcome, answered_at=answered_at)


def hide(locked: LockedTree, message: Message, *, actor: User, reason: str) -> None:
    """Hide the message until somebody decides otherwise, and answer the reports about it.

    It leaves the conversation with what is below it, but nothing is deleted. A prompt halts its tree.
    """
    proposal = _in_force(message) or Proposal(
        tree=locked.tree, message=message, revision_id=message.revision_id, kind=Proposal.Kind.MODERATOR, voices=0
    )
    was_shown = not message.is_withheld
    proposal.status, proposal.decided_at = Proposal.Status.HIDDEN, locked.now
    proposal.decided_by, proposal.reason = actor, reason[:500]
    proposal.hides, proposal.stops = True, message.parent_id is None
    proposal.save()
    update_columns(message, hidden=True, kept_hidden=True, kept_at=None)
    answer_reports(locked, message, Report.Status.UPHELD, actor=actor, outcome=f"The message was hidden: {reason}")
    data = {"proposal": str(proposal.pk), "hides": was_shown}
    locked.record(Happening.Kind.MESSAGE_HIDDEN, message=message, actor=actor, data=data)
    if message.author_id is not None:
        enqueue(notices.mail_author, str(proposal.pk))
    resume_if_decided(locked, actor=actor, reason=reason)
    transitions.rescore(locked)


def _show(locked: LockedTree, message: Message, **fields: object) -> None:
    """End what hides the message, other than a withdrawal. What a moderator had hidden is part of the conversation
    again.
    """
    was_out = message.kept_hidden
    update_columns(message, hidden=withdrawal_effects.is_hiding(message), kept_hidden=False, **fields)
    if was_out:
        transitions.raise_sizes(locked)
        transitions.rescore(locked)


def close_after_edit(locked: LockedTree, message: Message, *, actor: User) -> None:
    """Close the complaints about the former text after an edit.

    A text that a moderator wrote for another author counts as a decision: complaints do not act on it.
    """
    _void(locked, message, overruled=False)
    is_decision = actor.is_moderator and actor.pk != message.author_id
    _show(locked, message, kept_at=locked.now if is_decision else None)
    _close(locked, message, Proposal.Status.DISMISSED, actor=actor, reason=TEXT_CHANGED)


def uphold(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Close the proposal of a message that was just deleted, and answer its open reports.

    A tree halted for one of its replies resumes.
    """
    if _close(
        locked, message, Proposal.Status.UPHELD, actor=actor, reason=reason, resumes=message.parent_id is not None
    ):
        update_columns(message, hidden=withdrawal_effects.is_hiding(message), kept_hidden=False)
        answer_reports(locked, message, Report.Status.UPHELD, actor=actor, outcome=f"The message was removed: {reason}")


def mail_about_restoring(message: Message) -> None:
    """Mail the author of a restored message who was told that complaints had removed it."""
    upheld = Proposal.objects.filter(message=message, status=Proposal.Status.UPHELD).order_by("-pk").only("pk").first()
    if upheld is not None and message.author_id is not None:
        enqueue(notices.mail_author, str(upheld.pk))


def reduce_effect(locked: LockedTree, message: Message, *, hides: bool, stops: bool) -> bool:
    """Reduce an open proposal to what `hides` and `stops` allow, after its complaints lost weight.

    It stays in the queue; nothing is decided or void. Return True on any change.
    """
    proposal = _open_proposal(message)
    if proposal is None or (proposal.hides <= hides and proposal.stops <= stops):
        return False
    resumes = proposal.stops and not stops
    proposal.hides, proposal.stops = proposal.hides and hides, proposal.stops and stops
    proposal.save(update_fields=["hides", "stops"])
    update_columns(message, hidden=proposal.hides or withdrawal_effects.is_hiding(message))
    _record_event(locked, Happening.Kind.REMOVAL_PROPOSED, proposal, None)
    if resumes:
        resume_if_decided(locked, actor=None, reason=TOO_FEW_COMPLAINTS)
    return True


def keep_halting_messages(locked: LockedTree, *, actor: User | None, reason: str) -> None:
    """Keep the messages that halted a tree, when somebody with permission resumes it. The caller moves the tree."""
    for message in halting_messages(locked):
        keep_message(locked, message, actor=actor, reason=reason, resumes=False)


def halting_messages(locked: LockedTree) -> list[Message]:
    """Return the messages for which complaints halted the tree and that still wait for a decision."""
    message_ids = {proposal.message_id for proposal in _stopping_proposals(locked)}
    if locked.state == State.ABORTED_LOW_GRADE:  # flags ended trees like this before there were proposals
        message_ids.add(locked.root.pk)
    return [locked.messages[message_id] for message_id in sorted(message_ids)]


def resume_if_decided(locked: LockedTree, *, actor: User | None, reason: str) -> None:
    """Resume a tree that only complaints or its hidden prompt had halted, once none of them is in force."""
    by_complaints = transitions.halted_because(locked, *_HALTS)
    if by_complaints and not locked.root.deleted and not _stopping_proposals(locked):
        banned_authors.resume(locked, reason=reason, actor=actor)


def halt_again(locked: LockedTree, *, where: frozenset[State] = MODERATED_STATES) -> None:
    """Halt the tree again for a restored message whose proposal is still open."""
    open_proposals = _stopping_proposals(locked) if locked.state in where - {State.HALTED_BY_MODERATOR} else []
    if open_proposals and open_proposals[0].status == Proposal.Status.OPEN:
        _stop(locked, open_proposals[0].kind)


def _stopping_proposals(locked: LockedTree) -> list[Proposal]:
    rows = Proposal.objects.filter(tree=locked.tree, status__in=Proposal.IN_FORCE, stops=True).order_by("pk")
    return [row for row in rows if not locked.messages[row.message_id].deleted]


def _stop(locked: LockedTree, kind: str) -> None:
    transitions.halt(
        locked, reason=transitions.TOO_MANY_SKIPS if kind == Proposal.Kind.SKIPS else transitions.TOO_MANY_FLAGS
    )


def refuse_deleted(message: Message) -> None:
    """Raise Conflict `already_deleted`: there is nothing left to decide."""
    if message.deleted:
        raise Conflict("This message is deleted already.", code="already_deleted")


def _open_proposal(message: Message) -> Proposal | None:
    proposal = _in_force(message)
    return proposal if proposal is not None and proposal.status == Proposal.Status.OPEN else None


def _in_force(message: Message) -> Proposal | None:
    """Return the proposal that is open, or by which a moderator hid the message. A message has one at most."""
    rows = Proposal.objects.select_for_update(of=("self",), no_key=True)
    return rows.filter(message=message, status__in=Proposal.IN_FORCE).first()


def _close(
    locked: LockedTree,
    message: Message,
    status: Proposal.Status,
    *,
    actor: User | None,
    reason: str,
    resumes: bool = True,
) -> bool:
    proposal = _in_force(message)
    if proposal is None:
        return False
    proposal.status, proposal.decided_at, proposal.decided_by, proposal.reason = status, locked.now, actor, reason[:500]
    proposal.save(update_fields=["status", "decided_at", "decided_by", "reason"])
    upheld = status == Proposal.Status.UPHELD
    kind = Happening.Kind.REMOVAL_UPHELD if upheld else Happening.Kind.REMOVAL_DISMISSED
    _record_event(locked, kind, proposal, actor)
    if resumes and proposal.stops:
        resume_if_decided(locked, actor=actor, reason=reason)
    return True


def _void(locked: LockedTree, message: Message, *, overruled: bool) -> None:
    """Void the complaints. If `overruled`, the same users cannot flag this text again; after an edit they can."""
    _lock_message(message)
    flags = Reaction.everything.filter(emoji=Reaction.RED_FLAG, message=message)
    skips = Skip.everything.filter(kind=Skip.Kind.REPLY, message=message)
    flags.filter(voided_at=None).update(voided_at=locked.now, overruled=overruled)
    skips.filter(voided_at=None).update(voided_at=locked.now)
    if not overruled:  # also flags that were taken back: they are kept because a decision is remembered
        flags.filter(overruled=True).update(overruled=False)


def _lock_message(message: Message) -> None:
    """Lock the message before its judgments, in the lock order of those who judge it."""
    rows = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=message.pk)
    list(rows.values_list("pk"))


def answer_reports(
    locked: LockedTree,
    message: Message,
    status: Report.Status,
    *,
    actor: User | None,
    outcome: str,
    answered_at: datetime | None = None,
) -> None:
    """Answer all open reports about the message with the decision, and those that a decision upheld at `answered_at`,
    which this one replaces.
    """
    _lock_message(message)
    rows = Report.objects.select_for_update(of=("self",), no_key=True)
    which = Q(status=Report.Status.OPEN)
    if answered_at is not None:
        which |= Q(status=Report.Status.UPHELD, handled_at=answered_at)
    waiting = list(rows.filter(which, message=message).order_by("pk"))
    for report in waiting:
        report.status, report.outcome = status, outcome[:1000]
        report.handled_by, report.handled_at = actor, locked.now
        data = {"report": str(report.pk), "status": status}
        # The subject is the reporter, not the author of the message.
        locked.record(
            Happening.Kind.REPORT_SETTLED, message=message, actor=actor, subject_id=report.reporter_id, data=data
        )
    Report.objects.bulk_update(waiting, ["status", "outcome", "handled_by", "handled_at"])


def _record_event(locked: LockedTree, kind: Happening.Kind, proposal: Proposal, actor: User | None) -> None:
    message = locked.messages[proposal.message_id]
    # API clients hear of messages shown again, but not of one that its author withdrew meanwhile.
    hides = proposal.hides and not (kind == Happening.Kind.REMOVAL_DISMISSED and message.hidden)
    locked.record(
        kind,
        message=message,
        actor=actor,
        data={"proposal": str(proposal.pk), "why": proposal.kind, "hides": hides, "stops": proposal.stops},
    )
    if proposal.concerns_author and proposal.message.author_id is not None:
        enqueue(notices.mail_author, str(proposal.pk))
