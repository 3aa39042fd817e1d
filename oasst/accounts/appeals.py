"""Appeals against suspensions and other decisions: one at a time about each, answered by another moderator.

`trees.moderation.bans` lifts a ban; `account_bans.lift_ban` then grants the open appeal, however the ban ended.
Appeals against single decisions, which name an entry of the audit log, are sent and granted by
`trees.moderation.appealing`.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts import acts
from oasst.accounts.access import require_moderator
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Appeal, Ban, Role, User
from oasst.accounts.roles import require_higher_rank
from oasst.core.after_commit import enqueue_by_name
from oasst.core.audit.putting_back import built_on, put_back, read_changes
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from oasst.core.ratelimit import APPEALS, count_use
from oasst.core.text.validation import clean_reason, clean_text

AGAIN_AFTER = timedelta(days=14)
"""How long after a refusal the next appeal can be sent."""
PRESENT = timedelta(days=30)
"""A moderator who has signed in or worked since then can answer the appeals about another one."""
MAIL_JOB = "oasst.accounts.jobs.mail_about_appeal"  # by name, because jobs mail and this module is below them
NOTICE_JOB = "oasst.site.notices.jobs.tell_of_appeal"


def appeal(user: User, text: str) -> Appeal:
    """Store an appeal. Raise Invalid (the text), Busy, Conflict (`not_banned`, `appeal_open`, `appeal_refused`)."""
    text = clean_text(text, limit=Appeal.TEXT_LIMIT, field="text")
    count_use(APPEALS, user.pk)
    is_open = Conflict(gettext("Your appeal is waiting for an answer already."), code="appeal_open")
    try:
        with transaction.atomic():
            user = lock_user(user)
            if user.enabled:
                raise Conflict(gettext("Your account is not suspended any more."), code="not_banned")
            latest = latest_appeal(user)
            if latest is not None and latest.status == Appeal.Status.OPEN:
                raise is_open
            if next_appeal_at(latest) is not None:
                raise Conflict(gettext("Your last appeal was answered only lately."), code="appeal_refused")
            return Appeal.objects.create(user=user, text=text)
    except IntegrityError as error:
        raise is_open from error


def appeal_decision(user: User, *, entry_id: int, text: str) -> Appeal:
    """Store an appeal against a decision, which the caller has found to concern this user. Raise Invalid (the text),
    Busy, Conflict (`appeal_open`, `appeal_refused`).
    """
    text = clean_text(text, limit=Appeal.TEXT_LIMIT, field="text")
    count_use(APPEALS, user.pk)
    is_open = Conflict(gettext("Your appeal is waiting for an answer already."), code="appeal_open")
    latest = Appeal.objects.filter(user=user, entry=entry_id).order_by("-created_at").first()
    if latest is not None and latest.status == Appeal.Status.OPEN:
        raise is_open
    if next_appeal_at(latest) is not None:
        raise Conflict(gettext("Your last appeal was answered only lately."), code="appeal_refused")
    try:
        with transaction.atomic():
            return Appeal.objects.create(user=user, entry_id=entry_id, text=text)
    except IntegrityError as error:
        raise is_open from error


def latest_appeal(user: User) -> Appeal | None:
    """Return the user's newest appeal against the suspension that is in force."""
    appeals = Appeal.objects.filter(user=user, entry=None).exclude(status=Appeal.Status.GRANTED)
    if user.banned_at is not None:
        began = user.bans.filter(lifted_at=None).order_by("at").values_list("at", flat=True).first()
        appeals = appeals.filter(created_at__gte=began or user.banned_at)
    return appeals.order_by("-created_at").first()


def earlier_appeals(user: User, latest: Appeal | None) -> QuerySet[Appeal]:
    """Return the user's answered appeals against suspensions besides the latest, newest first."""
    answered = Appeal.objects.filter(user=user, entry=None).exclude(status=Appeal.Status.OPEN)
    others = answered.exclude(pk=latest.pk) if latest else answered
    return others.order_by("-created_at")


def next_appeal_at(latest: Appeal | None) -> datetime | None:
    """Return when the user may appeal again, or None for at once."""
    if latest is None or latest.decided_at is None:
        return None
    at = latest.decided_at + AGAIN_AFTER
    return at if at > timezone.now() else None


def refuse(appeal_id: UUID, *, actor: User, answer: str) -> None:
    """Let the suspension or the decision stay, and tell the user why. Raise NotAllowed (`moderators_only`, `rank`,
    `own_decision`, `own_appeal`), Invalid (the answer), Conflict `appeal_decided`, NotFound.
    """
    answer = clean_reason(answer)
    with transaction.atomic():
        row = lock_open_appeal(appeal_id)
        if row.entry_id is None:
            require_higher_rank(actor, row.user)
        require_other_moderator(row, actor)
        watched = Watched(Appeal.objects.filter(pk=row.pk), ("status", "decided_by_id", "decided_at", "answer"))
        with recorded_rows(
            acts.REFUSE_APPEAL, row, {"appeal": watched}, actor=actor, person_id=row.user_id, reason=answer
        ):
            _decide(row, Appeal.Status.REFUSED, actor, answer)


def undo_refusal(entry: AuditEntry, *, actor: User) -> None:
    """Let an appeal wait for an answer again. Needs an open transaction. Raise as `refuse`, and Conflict (`built_on`,
    `erased`, `appeal_open` if the user has sent another one meanwhile).
    """
    row = Appeal.objects.select_related("user").filter(pk=entry.target_id).first()
    if row is None:
        raise built_on()
    user = lock_user(row.user)
    if row.entry_id is None:
        require_higher_rank(actor, user)
        if user.enabled:
            raise built_on()
    if Appeal.objects.filter(user=user, entry=row.entry_id, status=Appeal.Status.OPEN).exists():
        raise Conflict(gettext("There is a newer appeal, which waits for an answer."), code="appeal_open")
    put_back(read_changes(entry), {"appeal": Appeal})
    Appeal.objects.filter(pk=row.pk, status=Appeal.Status.OPEN).update(mailed=False)  # another answer is mailed, too
    if row.entry_id is not None:
        enqueue_by_name(NOTICE_JOB, str(row.pk))


def grant_open(user: User, *, actor: User | None, answer: str) -> None:
    """Grant the user's open appeal, if there is one, because the ban is lifted. Needs a lock on the user's row."""
    row = Appeal.objects.filter(user=user, entry=None, status=Appeal.Status.OPEN).first()
    if row is not None:
        _decide(row, Appeal.Status.GRANTED, actor, answer)


def grant_about(entry_id: int, *, actor: User | None, answer: str) -> None:
    """Grant the open appeal against a decision, if there is one, because the decision is undone. Needs a transaction.
    One statement if there is none.
    """
    rows = Appeal.objects.select_for_update(of=("self",), no_key=True)
    row = rows.filter(entry=entry_id, status=Appeal.Status.OPEN).first()
    if row is not None:
        _decide(row, Appeal.Status.GRANTED, actor, answer)


def _decide(row: Appeal, status: Appeal.Status, actor: User | None, answer: str) -> None:
    row.status, row.decided_by, row.decided_at, row.answer = status, actor, timezone.now(), answer[:500]
    row.save(update_fields=["status", "decided_by", "decided_at", "answer"])
    enqueue_by_name(MAIL_JOB, str(row.pk))
    if row.entry_id is not None:
        enqueue_by_name(NOTICE_JOB, str(row.pk))


def require_other_moderator(row: Appeal, actor: User) -> None:
    """Raise NotAllowed `own_decision` if the actor would answer an appeal against their own decision while there is
    another moderator, and `own_appeal` for their own appeal.
    """
    require_moderator(actor)
    if row.user_id == actor.pk:
        raise NotAllowed(gettext("This is your own appeal. Please let another moderator answer it."), code="own_appeal")
    if row.entry_id is None:
        is_own = Ban.objects.filter(user=row.user_id, lifted_at=None, actor=actor).exists()
    else:
        is_own = Appeal.objects.filter(pk=row.pk, entry__actor=actor).exists()
    if is_own and other_moderators(actor).exists():
        raise NotAllowed(
            gettext("This is about a decision of yours. Please let another moderator answer it."), code="own_decision"
        )


def other_moderators(actor: User) -> QuerySet[User]:
    """Return those besides the actor who could answer an appeal: moderators who were here lately."""
    since = timezone.now() - PRESENT
    people = User.objects.filter(role__in=(Role.MODERATOR, Role.ADMIN), enabled=True, is_active=True, deleted_at=None)
    return people.filter(Q(last_login__gte=since) | Q(last_activity_at__gte=since)).exclude(pk=actor.pk)


def lock_open_appeal(appeal_id: UUID) -> Appeal:
    """Lock an appeal, after the row of its user if it is about a suspension. Raise Conflict `appeal_decided`,
    NotFound.
    """
    row = Appeal.objects.select_related("user").filter(pk=appeal_id).first()
    if row is None:
        raise NotFound("There is no such appeal.", code="no_such_appeal")
    if row.entry_id is None:
        lock_user(row.user)
    rows = Appeal.objects.select_for_update(of=("self",), no_key=True)
    row.refresh_from_db(fields=["status", "decided_by", "decided_at", "answer"], from_queryset=rows)
    if row.status != Appeal.Status.OPEN:
        raise Conflict("This appeal was answered already.", code="appeal_decided")
    return row
