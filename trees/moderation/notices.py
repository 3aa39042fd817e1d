"""Mails to authors: complaints hid their message or halted its tree, a moderator decided about that or undid the
decision, or decided about a withdrawal. They never quote or name other people.
"""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from trees.access import is_public
from trees.models import Message, Proposal, Withdrawal

Status = Proposal.Status


@shared_task
def mail_author(proposal_id: str) -> bool:
    """Mail the author the present outcome, once per decision. Return True if a mail was sent. Locks the proposal so
    that concurrent runs send one mail; a mail that fails is retried.
    """
    with transaction.atomic(durable=True):
        rows = Proposal.objects.select_for_update(of=("self",), no_key=True).select_related("message__author", "tree")
        proposal = rows.defer("message__search", "message__text").filter(pk=proposal_id).first()
        if proposal is None or proposal.mailed == (outcome := outcome_of(proposal)) or not proposal.concerns_author:
            return False
        author = _recipient(proposal.message)
        if author is None or proposal.message.withdrawn:  # its author withdrew it: complaints no longer matter
            return False
        is_return = outcome == Status.DISMISSED and proposal.mailed in (Status.UPHELD, Status.HIDDEN)
        proposal.mailed = outcome
        proposal.save(update_fields=["mailed"])
        context = {"proposal": proposal, **_context(proposal)}
        _send("restored" if is_return else outcome, context, author)
        return True


@shared_task
def mail_about_withdrawal(withdrawal_id: str) -> bool:
    """Mail the author each decision of another person on this withdrawal. Return and lock as `mail_author`."""
    with transaction.atomic(durable=True):
        rows = Withdrawal.objects.select_for_update(of=("self",), no_key=True).select_related("message__author", "tree")
        withdrawal = rows.defer("message__search", "message__text").filter(pk=withdrawal_id).first()
        if withdrawal is None or withdrawal.status in (withdrawal.mailed, *_OWN_ACTS):
            return False
        author = _recipient(withdrawal.message)
        if author is None:
            return False
        withdrawal.mailed = withdrawal.status
        withdrawal.save(update_fields=["mailed"])
        context = {"withdrawal": withdrawal, **_context(withdrawal)}
        _send(f"withdrawal_{withdrawal.status}", context, author)
        return True


_OWN_ACTS = (Withdrawal.Status.OPEN, Withdrawal.Status.UNDONE)


def _recipient(message: Message) -> User | None:
    """Return the author, or None without an address to write to."""
    author = message.author
    if author is None or not author.email or not author.is_active or author.deleted_at is not None:
        return None
    return author


def _context(row: Proposal | Withdrawal) -> dict[str, Any]:
    """Return the context that all mails share."""
    message = row.message
    return {
        "message": message,
        "tree": row.tree,
        "is_prompt": message.parent_id is None,
        "is_shown": is_public(message),  # on the author's page of contributions
        "url": settings.PUBLIC_URL + reverse("contributions"),
        "site_url": settings.PUBLIC_URL,
        "contact": settings.CONTACT_EMAIL,
    }


def _send(name: str, context: dict[str, Any], author: User) -> None:
    with timezone.override(user_zone(author)):
        subject, body = (
            render_to_string(f"trees/email/{name}_{part}.txt", context).strip() for part in ("subject", "message")
        )
    send_mail(subject, f"{body}\n", None, [str(author.email)])


def outcome_of(proposal: Proposal) -> str:
    """Return the outcome as the author sees it: an undone removal means that the message stays."""
    undone = proposal.status == Status.UPHELD and not proposal.message.deleted
    return Status.DISMISSED if undone else proposal.status
