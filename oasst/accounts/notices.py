"""Mails about changes of an account, which warn users about changes that they did not make.

django-allauth's own mails also go through AccountAdapter.send_notification_mail.
"""

from typing import Any

from allauth.account.adapter import get_adapter
from django.http import HttpRequest

from oasst.accounts.models import User


def send_notice(request: HttpRequest, user: User, what: str, *, email: str | None = None, **context: Any) -> None:
    """Send `account/email/<what>` to the user's main address, or to `email`. Call it after the change is stored.

    If the mail server fails, this is only logged.
    """
    get_adapter(request).send_notification_mail(f"account/email/{what}", user, context, email)


def send_new_address_notice(request: HttpRequest, user: User, email_address: Any, **kwargs: Any) -> None:
    """Handle allauth's signal `email_added`: notify the main address. allauth asks the new one for a confirmation."""
    send_notice(request, user, "email_added", added_email=email_address.email)
