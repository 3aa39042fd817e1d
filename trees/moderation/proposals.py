"""Proposals to remove a message, made by many complaints, until a moderator decides.

A proposal hides its message or halts its tree but deletes nothing, so dismissing it leaves everything as it was. A
decision holds: it voids earlier complaints, and later ones only bring the message back into the queue. A new text is a
new case. Decision 55.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

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
    also answers the open reports.
    """
    _void(locked, message, overruled=True)
    update_columns(message, hidden=withdrawal_effects.is_hiding(message), kept_at=locked.now)
    if _close(locked, message, Proposal.Status.DISMISSED, actor=actor, reason=reason, resumes=resumes):
        _answer_reports(locked, message, Report.Status.DISMISSED, actor=actor, outcome=f"The message stays: {reason}")


def close_after_edit(locked: LockedTree, message: Message, *, actor: User) -> None:
    """Close the complaints about the former text after an edit.

    A text that a moderator wrote for another author counts as a decision: complaints do not act on it.
    """
    _void(locked, message, overruled=False)
    is_decision = actor.is_staff and actor.pk != message.author_id
    update_columns(message, hidden=False, kept_at=locked.now if is_decision else None)
    _close(locked, message, Proposal.Status.DISMISSED, actor=actor, reason=TEXT_CHANGED)


def uphold(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Close the proposal of a message that was just deleted, and answer its open reports.

    A tree halted for one of its replies resumes.
    """
    if _close(
        locked, message, Proposal.Status.UPHELD, actor=actor, reason=reason, resumes=message.parent_id is not None
    ):
        update_columns(message, hidden=withdrawal_effects.is_hiding(message))
        _answer_reports(
            locked, message, Report.Status.UPHELD, actor=actor, outcome=f"The message was deleted: {reason}"
        )


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
    """Resume a tree that only complaints had halted, once none of them waits for a decision."""
    by_complaints = transitions.halted_because(locked, transitions.TOO_MANY_FLAGS, transitions.TOO_MANY_SKIPS)
    if by_complaints and not locked.root.deleted and not _stopping_proposals(locked):
        banned_authors.resume(locked, reason=reason, actor=actor)


def halt_again(locked: LockedTree, *, where: frozenset[State] = MODERATED_STATES) -> None:
    """Halt the tree again for a restored message whose proposal is still open."""
    open_proposals = _stopping_proposals(locked) if locked.state in where - {State.HALTED_BY_MODERATOR} else []
    if open_proposals:
        _stop(locked, open_proposals[0].kind)


def _stopping_proposals(locked: LockedTree) -> list[Proposal]:
    rows = Proposal.objects.filter(tree=locked.tree, status=Proposal.Status.OPEN, stops=True).order_by("pk")
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
    rows = Proposal.objects.select_for_update(of=("self",), no_key=True)
    return rows.filter(message=message, status=Proposal.Status.OPEN).first()


def _close(
    locked: LockedTree,
    message: Message,
    status: Proposal.Status,
    *,
    actor: User | None,
    reason: str,
    resumes: bool = True,
) -> bool:
    proposal = _open_proposal(message)
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


def _answer_reports(
    locked: LockedTree, message: Message, status: Report.Status, *, actor: User | None, outcome: str
) -> None:
    """Answer all open reports about the message with the decision."""
    _lock_message(message)
    rows = Report.objects.select_for_update(of=("self",), no_key=True)
    waiting = list(rows.filter(message=message, status=Report.Status.OPEN).order_by("pk"))
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
