"""Ban users. Outer writers; `trees.moderation.banned_authors` applies a ban to their trees."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from oasst.accounts import account_bans, administrator_bans, appeals, locks
from oasst.accounts.models import ApiClient, BanProposal, User
from oasst.core.after_commit import enqueue
from oasst.core.errors import Conflict, NotFound
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason
from trees import jobs
from trees.moderation import offered_actions


def ban(user: User, *, actor: User, reason: str, until: datetime | None = None) -> bool:
    """Ban this user, if given until a date; a job halts their waiting prompts. Return False if this only proposes the
    ban of an administrator, which another administrator has to confirm. Raise as `account_bans.ban`, or
    `administrator_bans.ban`, and Conflict `no_until` for an administrator and a date.
    """
    with transaction.atomic(durable=True):
        if administrator_bans.needs_confirmation(user, actor):
            if until is not None:
                raise Conflict(
                    gettext("The suspension of an administrator has no end. Two administrators lift it."),
                    code="no_until",
                )
            if not administrator_bans.ban(user, actor=actor, reason=reason):
                return False
        else:
            account_bans.ban(user, actor=actor, reason=reason, until=until)
        enqueue(jobs.follow_standing, str(user.pk))
    return True


def ban_by_operator(user: User, *, reason: str) -> None:
    """Ban any user except the last administrator, without a second person. Raise Invalid (the reason), Conflict
    (`banned`, `closed`, `last_administrator`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        if not user.is_active:
            raise Conflict(gettext("This account was closed."), code="closed")
        if not user.enabled:
            raise Conflict(gettext("This person is suspended already."), code="banned")
        account_bans.apply_ban(user, actor=None, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def unban_by_operator(user: User, *, reason: str) -> None:
    """End any ban. Raise Invalid (the reason), Conflict (`not_banned`, `purged`)."""
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        if user.enabled:
            raise Conflict(gettext("This person is not suspended."), code="not_banned")
        _refuse_purged(user)
        account_bans.lift_ban(user, actor=None, reason=reason)
        enqueue(jobs.follow_standing, str(user.pk))


def set_by_client(
    user: User, *, program: ApiClient | None, enabled: bool, reason: str, until: datetime | None = None
) -> None:
    """Ban a user or end the ban for an API client that may do so; a repeat changes nothing.

    Inside the caller's transaction, which has locked the user. Raise Conflict `purged`.
    """
    if enabled == user.enabled:
        return
    if enabled:
        _refuse_purged(user)
        account_bans.lift_ban(user, actor=None, program=program, reason=reason)
    else:
        account_bans.apply_ban(user, actor=None, program=program, reason=reason, until=until)
    enqueue(jobs.follow_standing, str(user.pk))


def carry_over(banned: User, user: User, *, actor: User | None, program: ApiClient | None) -> None:
    """Ban a user as another account of theirs is banned, unless they are banned already and for as long. The reason is
    the one of that account.

    Inside the caller's transaction, which has locked both.
    """
    if not banned.enabled and (user.enabled or _ends_before(user.banned_until, banned.banned_until)):
        account_bans.apply_ban(user, actor=actor, program=program, reason=banned.ban_reason, until=banned.banned_until)
        enqueue(jobs.follow_standing, str(user.pk))


def _ends_before(until: datetime | None, other: datetime | None) -> bool:
    return until is not None and (other is None or until < other)


def unban(user: User, *, actor: User, reason: str) -> bool:
    """End a ban; a job resumes the prompts that it had halted. Return False if this only proposes to end the
    ban of an administrator, which another administrator has to confirm. Raise as `account_bans.unban`, and Conflict
    `purged`.
    """
    with transaction.atomic(durable=True):
        if administrator_bans.needs_confirmation(user, actor):
            if not administrator_bans.unban(user, actor=actor, reason=reason):
                return False
        else:
            account_bans.unban(user, actor=actor, reason=reason)
        _refuse_purged(user)
        enqueue(jobs.follow_standing, str(user.pk))
    return True


def undo(entry: AuditEntry, *, actor: User, reason: str) -> None:
    """Undo a ban or its end, as `account_bans.undo`, in the open transaction; a job halts or resumes the user's waiting
    prompts. Raise as that, NotFound, and Conflict `purged`.
    """
    user = User.objects.filter(pk=entry.target_id).first()
    if user is None:
        raise NotFound(gettext("There is no such person."), code="no_such_person")
    _refuse_purged(user)
    account_bans.undo(user, entry, actor=actor, reason=reason)
    enqueue(jobs.follow_standing, str(user.pk))


def grant_appeal(appeal_id: UUID, *, actor: User, answer: str) -> bool:
    """Grant an appeal against a suspension, which lifts it. Return and raise as `unban`; raise also Conflict
    `appeal_decided`, NotFound, and NotAllowed (`own_decision`, `own_appeal`).
    """
    with transaction.atomic(durable=True):
        row = appeals.lock_open_appeal(appeal_id)
        if row.entry_id is not None:
            raise Conflict(gettext("This appeal is not about a suspension."), code="not_banned")
        appeals.require_other_moderator(row, actor)
    return unban(row.user, actor=actor, reason=answer)


def confirm_proposal(proposal_id: int, *, actor: User) -> BanProposal:
    """Suspend an administrator, or lift that, as another administrator proposed. Return the proposal. Raise NotAllowed
    `rank`, Conflict (`nothing_proposed`, `already_proposed`, `last_administrator`, `purged`).
    """
    with transaction.atomic(durable=True):
        proposal = administrator_bans.confirm(proposal_id, actor=actor)
        if proposal.lifts:
            _refuse_purged(proposal.user)
        enqueue(jobs.follow_standing, str(proposal.user_id))
    return proposal


def refuse_proposal(user: User, *, actor: User, reason: str) -> None:
    """Refuse what another administrator proposes about this one. Raise NotAllowed `rank`, Invalid (the reason),
    Conflict (`nothing_proposed`, `own_proposal`).
    """
    with transaction.atomic(durable=True):
        administrator_bans.refuse(user, actor=actor, reason=reason)


def refuse_one_proposal(proposal_id: int, *, actor: User, reason: str) -> None:
    """Refuse this proposal about an administrator. Raise as `refuse_proposal`."""
    with transaction.atomic(durable=True):
        administrator_bans.refuse_one(proposal_id, actor=actor, reason=reason)


def withdraw_one_proposal(proposal_id: int, *, actor: User) -> None:
    """Withdraw one's own proposal about an administrator. Raise Conflict `nothing_proposed`."""
    with transaction.atomic(durable=True):
        administrator_bans.withdraw_one(proposal_id, actor=actor)


def withdraw_proposal(user: User, *, actor: User, reason: str = "") -> None:
    """Withdraw what this administrator proposed about another one. Raise Conflict `nothing_proposed`."""
    with transaction.atomic(durable=True):
        administrator_bans.withdraw(user, actor=actor, reason=reason)


def _refuse_purged(user: User) -> None:
    if offered_actions.is_purged(user):
        raise Conflict(gettext("What they gave was purged. Undo the purge; that lets them in again."), code="purged")
