"""Jobs that a commit starts."""

from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from oasst.accounts import names
from oasst.accounts.models import Appeal
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
        _send_answer(appeal, appeal.user.email)
        return True


def _send_answer(appeal: Appeal, address: str) -> None:
    context = {"appeal": appeal, "site_url": settings.PUBLIC_URL, "contact": settings.CONTACT_EMAIL}
    with timezone.override(user_zone(appeal.user)):
        subject, body = (
            render_to_string(f"accounts/email/appeal_{part}.txt", context).strip() for part in ("subject", "message")
        )
    send_mail(subject, f"{body}\n", None, [address])
