"""What many people propose to take away, until a moderator decides.

A proposal hides its message or stops its tree; it deletes nothing, so that to dismiss it leaves everything as it was.
What a moderator decided stands: the complaints that were there weigh nothing any more, and later ones bring the message
before the moderators again and do nothing else. A new text is a new case. Decision 55.

Works on a locked tree; the caller goes on to `transitions.advance`.
"""

from oasst.accounts.models import User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict
from trees.contributing import withdrawal_effects
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, mark
from trees.lifecycle.states import State
from trees.models import Happening, Message, Proposal, Reaction, Report, Skip
from trees.moderation import banned_authors, notices

WATCHED = frozenset({State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING})
"""Where complaints act by themselves. Finished trees, and those that are being ranked, are left to moderators."""
EDITED = "Its text was changed."
FEWER = "Too few of those who complained still count."


def propose(locked: LockedTree, message: Message, *, kind: Proposal.Kind, voices: int, may_act: bool) -> bool:
    """Put the message into the moderators' queue; if it `may_act`, hide it, or stop its tree, while nobody has decided
    about its text.

    There is one open proposal about a message: said again it changes nothing. Returns whether anything changed.
    """
    found = _open_one(message)
    acts = may_act and locked.state in WATCHED and message.kept_at is None
    hides = acts and kind == Proposal.Kind.FLAGS
    stops = acts and (kind == Proposal.Kind.SKIPS or message.parent_id is None)
    if found is not None and not (hides and not found.hides) and not (stops and not found.stops):
        return False
    made = found or Proposal(tree=locked.tree, message=message, revision_id=message.revision_id)
    made.kind, made.voices = kind, voices
    made.hides, made.stops = made.hides or hides, made.stops or stops
    made.save()
    if hides:
        mark(message, hidden=True)
    if stops:
        _stop(locked, kind)
    _tell(locked, Happening.Kind.REMOVAL_PROPOSED, made, None)
    return True


def keep(locked: LockedTree, message: Message, *, actor: User | None, reason: str, resumes: bool = True) -> None:
    """A moderator decided that this text stays: it is shown again, its complaints are void, and complaints act on it no
    more. A tree that they had stopped goes on, unless `resumes` is False: then the caller sees to that. Where this
    decides what was proposed, it answers the open reports as well.
    """
    _void(locked, message, overruled=True)
    mark(message, hidden=withdrawal_effects.hides(message), kept_at=locked.now)
    if _close(locked, message, Proposal.Status.DISMISSED, actor=actor, reason=reason, resumes=resumes):
        _answer_reports(locked, message, Report.Status.DISMISSED, actor=actor, outcome=f"The message stays: {reason}")


def begin_anew(locked: LockedTree, message: Message, *, actor: User) -> None:
    """The message has a new text: what people said of the one before, and what was decided about it, is over. The words
    of a moderator for somebody else are a decision: complaints do not act on them.
    """
    _void(locked, message, overruled=False)
    decides = actor.is_staff and actor.pk != message.author_id
    mark(message, hidden=False, kept_at=locked.now if decides else None)
    _close(locked, message, Proposal.Status.DISMISSED, actor=actor, reason=EDITED)


def uphold(locked: LockedTree, message: Message, *, actor: User | None, reason: str) -> None:
    """Somebody who may do so has just deleted the message: what was proposed about it is answered. A tree that stopped
    for one of its replies goes on, and open reports are answered.
    """
    if _close(
        locked, message, Proposal.Status.UPHELD, actor=actor, reason=reason, resumes=message.parent_id is not None
    ):
        mark(message, hidden=withdrawal_effects.hides(message))
        _answer_reports(
            locked, message, Report.Status.UPHELD, actor=actor, outcome=f"The message was deleted: {reason}"
        )


def tell_of_return(message: Message) -> None:
    """A message was just brought back. Whoever heard that complaints had removed it has to hear of that as well."""
    upheld = Proposal.objects.filter(message=message, status=Proposal.Status.UPHELD).order_by("-pk").only("pk").first()
    if upheld is not None and message.author_id is not None:
        enqueue(notices.mail_author, str(upheld.pk))


def act_less(locked: LockedTree, message: Message, *, hides: bool, stops: bool) -> bool:
    """Fewer voices stand behind an open proposal than when it began to act: from now on it only hides and stops what
    is given, and stays in the queue. Nothing is void and nothing is decided. Returns whether that changed anything.
    """
    found = _open_one(message)
    if found is None or (found.hides <= hides and found.stops <= stops):
        return False
    goes_on = found.stops and not stops
    found.hides, found.stops = found.hides and hides, found.stops and stops
    found.save(update_fields=["hides", "stops"])
    mark(message, hidden=found.hides or withdrawal_effects.hides(message))
    _tell(locked, Happening.Kind.REMOVAL_PROPOSED, found, None)
    if goes_on:
        go_on(locked, actor=None, reason=FEWER)
    return True


def keep_what_stopped(locked: LockedTree, *, actor: User | None, reason: str) -> None:
    """Somebody who may do so lets a stopped tree go on: that answers what had stopped it. The caller moves the tree."""
    for message in what_stopped(locked):
        keep(locked, message, actor=actor, reason=reason, resumes=False)


def what_stopped(locked: LockedTree) -> list[Message]:
    """The messages that complaints stopped the tree for, and that still wait for a moderator. What went meanwhile,
    alone or with all above it, waits for nothing.
    """
    found = {proposal.message_id for proposal in _stopping(locked)}
    if locked.state == State.ABORTED_LOW_GRADE:  # as flags ended trees before there were proposals
        found.add(locked.root.pk)
    return [locked.messages[message_id] for message_id in sorted(found)]


def go_on(locked: LockedTree, *, actor: User | None, reason: str) -> None:
    """A tree that only complaints had stopped goes on when none of them waits for a moderator any more."""
    if not locked.root.deleted and transitions.was_stopped_by_complaints(locked) and not _stopping(locked):
        banned_authors.resume(locked, reason=reason, actor=actor)


def stop_again(locked: LockedTree, *, where: frozenset[State] = WATCHED) -> None:
    """A message came back for which complaints had stopped the tree, and nobody has decided: it stops as before."""
    stopping = _stopping(locked) if locked.state in where - {State.HALTED_BY_MODERATOR} else []
    if stopping:
        _stop(locked, stopping[0].kind)


def _stopping(locked: LockedTree) -> list[Proposal]:
    rows = Proposal.objects.filter(tree=locked.tree, status=Proposal.Status.OPEN, stops=True).order_by("pk")
    return [one for one in rows if not locked.messages[one.message_id].deleted]


def _stop(locked: LockedTree, kind: str) -> None:
    transitions.halt(locked, reason=transitions.UNWANTED if kind == Proposal.Kind.SKIPS else transitions.FLAGGED)


def refuse_deleted(message: Message) -> None:
    """Raises Conflict `already_deleted`: what stands no more can be neither kept nor taken away."""
    if message.deleted:
        raise Conflict("This message is deleted already.", code="already_deleted")


def _open_one(message: Message) -> Proposal | None:
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
    found = _open_one(message)
    if found is None:
        return False
    found.status, found.decided_at, found.decided_by, found.reason = status, locked.now, actor, reason[:500]
    found.save(update_fields=["status", "decided_at", "decided_by", "reason"])
    upheld = status == Proposal.Status.UPHELD
    _tell(locked, Happening.Kind.REMOVAL_UPHELD if upheld else Happening.Kind.REMOVAL_DISMISSED, found, actor)
    if resumes and found.stops:
        go_on(locked, actor=actor, reason=reason)
    return True


def _void(locked: LockedTree, message: Message, *, overruled: bool) -> None:
    """`overruled`: those who flagged this text can not do so again; otherwise there is a new text, and they can
    (`Reaction.OF_EARLIER_TEXT`).
    """
    _lock(message)
    flags = Reaction.everything.filter(emoji=Reaction.RED_FLAG, message=message)
    skips = Skip.everything.filter(kind=Skip.Kind.REPLY, message=message)
    flags.filter(voided_at=None).update(voided_at=locked.now, overruled=overruled)
    skips.filter(voided_at=None).update(voided_at=locked.now)
    if not overruled:  # also of those that were taken back, which are kept: the decision about them is remembered
        flags.filter(overruled=True).update(overruled=False)


def _lock(message: Message) -> None:
    """The message before what people said of it, as those lock who say it."""
    rows = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=message.pk)
    list(rows.values_list("pk"))


def _answer_reports(
    locked: LockedTree, message: Message, status: Report.Status, *, actor: User | None, outcome: str
) -> None:
    """What was decided about the message is the answer to everybody who had reported it and waits for one."""
    _lock(message)
    rows = Report.objects.select_for_update(of=("self",), no_key=True)
    waiting = list(rows.filter(message=message, status=Report.Status.OPEN).order_by("pk"))
    for report in waiting:
        report.status, report.outcome = status, outcome[:1000]
        report.handled_by, report.handled_at = actor, locked.now
        told = {"report": str(report.pk), "status": status}
        # About the reporter, and not about the author of the message.
        locked.record(
            Happening.Kind.REPORT_SETTLED,
            message=message,
            actor=actor,
            subject_id=report.reporter_id,
            data=told,
        )
    Report.objects.bulk_update(waiting, ["status", "outcome", "handled_by", "handled_at"])


def _tell(locked: LockedTree, kind: Happening.Kind, proposal: Proposal, actor: User | None) -> None:
    message = locked.messages[proposal.message_id]
    # Programs are told of what is shown again; what its author withdrew meanwhile is not.
    hides = proposal.hides and not (kind == Happening.Kind.REMOVAL_DISMISSED and message.hidden)
    locked.record(
        kind,
        message=message,
        actor=actor,
        data={"proposal": str(proposal.pk), "why": proposal.kind, "hides": hides, "stops": proposal.stops},
    )
    if proposal.concerns_author and proposal.message.author_id is not None:
        enqueue(notices.mail_author, str(proposal.pk))
