"""Jobs that a commit starts."""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from oasst.accounts import names
from oasst.accounts.models import Appeal, Ban, User
from oasst.accounts.time_zones import user_zone


@shared_task
def mark_alike(looks: str) -> int:
    """Show or hide the API client beside look-alike names, after a user with such a name came or left."""
    return names.update_lookalikes(looks)


@shared_task
def mail_about_appeal(appeal_id: str) -> bool:
    """Mail the answer to an appeal, once. Return True if a mail was sent.

    Locks the appeal, so that concurrent runs send one mail; a mail that fails is retried.
    """
    with transaction.atomic(durable=True):
        rows = Appeal.objects.select_for_update(of=("self",), no_key=True).select_related("user")
        appeal = rows.filter(pk=appeal_id, mailed=False).exclude(status=Appeal.Status.OPEN).first()
        if appeal is None or not appeal.user.email or not appeal.user.is_active:
            return False
        appeal.mailed = True
        appeal.save(update_fields=["mailed"])
        _send("appeal" if appeal.entry_id is None else "decision_appeal", appeal.user, appeal=appeal)
        return True


@shared_task
def mail_about_ban(ban_id: int) -> bool:
    """Mail a suspended user why, until when, and how to appeal, once. Return True if a mail was sent.

    Not about a ban that ended or was changed meanwhile. Locks as `mail_about_appeal`.
    """
    with transaction.atomic(durable=True):
        rows = Ban.objects.select_for_update(of=("self",), no_key=True).select_related("user")
        ban = rows.filter(pk=ban_id, mailed=False, lifted_at=None).first()
        if ban is None or not ban.user.email or not ban.user.is_active or ban.user.banned_at != ban.at:
            return False
        ban.mailed = True
        ban.save(update_fields=["mailed"])
        _send("ban", ban.user, ban=ban)
        return True


def _send(name: str, user: User, **context: Any) -> None:
    context |= {"site_url": settings.PUBLIC_URL, "contact": settings.CONTACT_EMAIL}
    with timezone.override(user_zone(user)):
        subject, body = (
            render_to_string(f"accounts/email/{name}_{part}.txt", context).strip() for part in ("subject", "message")
        )
    send_mail(subject, f"{body}\n", None, [str(user.email)])
