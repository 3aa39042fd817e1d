"""The link beside a mailed sign-in code. It works once, in whichever browser it is opened, also for a new account.

The code works only in the browser that asked for it; using it ends the link. The key is stored as a hash.
"""

from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.authentication import single_use_links
from oasst.accounts.models import MailedSignIn, Secret


def make_link(email: str, *, asked_from: str, next_page: str) -> tuple[str, str]:
    """Return a link for the mail, and the id of its row."""
    key = Secret.new_secret()
    row = MailedSignIn.objects.create(
        email=email,
        asked_from=asked_from[:100],
        next=next_page if len(next_page) <= MailedSignIn.NEXT_LIMIT else "",
        digest=Secret.digest_of(key),
        expires_at=timezone.now() + timedelta(seconds=settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT),
    )
    # In the query string, which neither our log nor that of deploy/nginx.conf contains.
    return f"{settings.PUBLIC_URL}{reverse('mailed_sign_in')}?{urlencode({'key': key})}", str(row.pk)


def find(key: str) -> MailedSignIn:
    """Return the row of the valid link with this key. Raise Gone `link_over`."""
    return single_use_links.find(MailedSignIn.objects.all(), key)


def use(key: str) -> MailedSignIn:
    """Use up a link. Raise Gone `link_over`, also for all but one of several concurrent calls."""
    return single_use_links.use(MailedSignIn.objects.all(), key)


def forget(row_id: str | None) -> None:
    """End a link whose code was used, or was replaced by a new one."""
    if row_id:
        MailedSignIn.objects.filter(pk=row_id).delete()


def forget_expired() -> int:
    """Delete links that are too old, and with them the addresses. Return how many."""
    return MailedSignIn.objects.filter(expires_at__lte=timezone.now()).delete()[0]
