"""Mail to authors: their message was hidden or its conversation stopped because many people complained, and what was
decided, also when that was undone; and what a moderator decided about a text that they withdrew. Nothing of what
other people said is in it, nor who they are.
"""

from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.accounts.time_zones import zone_of
from trees.access import is_public
from trees.models import Message, Proposal, Withdrawal

Status = Proposal.Status


@shared_task
def mail_author(proposal_id: str) -> None:
    """Tell the author how it stands with this proposal."""
    tell_author(proposal_id=UUID(proposal_id))


def tell_author(*, proposal_id: UUID) -> bool:
    """Mail the author how it stands now, once for each decision. Returns whether a mail was sent.

    Locks the proposal, so that of two runs at once one sends; a mail that could not be sent is tried again.
    """
    with transaction.atomic(durable=True):
        rows = Proposal.objects.select_for_update(of=("self",), no_key=True).select_related("message__author", "tree")
        proposal = rows.defer("message__search", "message__text").filter(pk=proposal_id).first()
        if proposal is None or proposal.mailed == (outcome := outcome_of(proposal)) or not proposal.concerns_author:
            return False
        author = _reader(proposal.message)
        if author is None or proposal.message.withdrawn:  # of which they know more than we would tell
            return False
        is_return = outcome == Status.DISMISSED and proposal.mailed == Status.UPHELD
        proposal.mailed = outcome
        proposal.save(update_fields=["mailed"])
        context = {"proposal": proposal, **_about(proposal)}
        _send("restored" if is_return else outcome, context, author)
        return True


@shared_task
def mail_about_withdrawal(withdrawal_id: str) -> None:
    """Tell the author what a moderator decided about this withdrawal."""
    tell_of_withdrawal(withdrawal_id=UUID(withdrawal_id))


def tell_of_withdrawal(*, withdrawal_id: UUID) -> bool:
    """Mail the author, once for each decision that somebody else took. Returns and locks as `tell_author`."""
    with transaction.atomic(durable=True):
        rows = Withdrawal.objects.select_for_update(of=("self",), no_key=True).select_related("message__author", "tree")
        withdrawal = rows.defer("message__search", "message__text").filter(pk=withdrawal_id).first()
        if withdrawal is None or withdrawal.status in (withdrawal.mailed, *_OWN_ACTS):
            return False
        author = _reader(withdrawal.message)
        if author is None:
            return False
        withdrawal.mailed = withdrawal.status
        withdrawal.save(update_fields=["mailed"])
        context = {"withdrawal": withdrawal, **_about(withdrawal)}
        _send(f"withdrawal_{withdrawal.status}", context, author)
        return True


_OWN_ACTS = (Withdrawal.Status.OPEN, Withdrawal.Status.UNDONE)


def _reader(message: Message) -> User | None:
    """The author, where there is anybody to write to."""
    author = message.author
    if author is None or not author.email or not author.is_active or author.deleted_at is not None:
        return None
    return author


def _about(row: Proposal | Withdrawal) -> dict[str, Any]:
    """What every mail may name of the text that the row is about."""
    message = row.message
    return {
        "message": message,
        "tree": row.tree,
        "is_prompt": message.parent_id is None,
        "is_shown": is_public(message),  # on the page of what one wrote
        "url": settings.PUBLIC_URL + reverse("contributions"),
        "site_url": settings.PUBLIC_URL,
        "contact": settings.CONTACT_EMAIL,
    }


def _send(name: str, context: dict[str, Any], author: User) -> None:
    with timezone.override(zone_of(author)):
        subject, body = (
            render_to_string(f"trees/email/{name}_{part}.txt", context).strip() for part in ("subject", "message")
        )
    send_mail(subject, f"{body}\n", None, [str(author.email)])


def outcome_of(proposal: Proposal) -> str:
    """What the proposal came to as its author sees it: to undo the removal is to let the message stay."""
    undone = proposal.status == Status.UPHELD and not proposal.message.deleted
    return Status.DISMISSED if undone else proposal.status
