"""Mails that tell people what happened to their account, so that whoever did not do it themselves hears of it.

The mails that django-allauth sends of its own go the same way (AccountAdapter.send_notification_mail).
"""

from typing import Any

from allauth.account.adapter import get_adapter
from django.http import HttpRequest

from oasst.accounts.models import User


def tell(request: HttpRequest, user: User, what: str, *, email: str | None = None, **context: Any) -> None:
    """Send `account/email/<what>` to the person's main address, or to `email`. For after the change is stored.

    A mail server that does not answer undoes nothing: it stands in the log.
    """
    get_adapter(request).send_notification_mail(f"account/email/{what}", user, context, email)


def tell_of_new_address(request: HttpRequest, user: User, email_address: Any, **kwargs: Any) -> None:
    """Receives allauth's `email_added`. The new address is asked for its proof; the main one hears of it."""
    tell(request, user, "email_added", added_email=email_address.email)
