"""Links that sign in one user, once: for sites without mail, and for users whom no mail reaches.

Only the operator creates them, in a terminal. The key is stored as a hash.
"""

from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.authentication import single_use_links
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Role, Secret, SignInLink, User
from oasst.core.errors import Gone, Invalid

DEFAULT_MINUTES = 15
MAX_MINUTES = 24 * 60


@transaction.atomic
def make_link(user: User, *, minutes: int) -> str:
    """Return a link that signs in the user once, and replace an earlier one. Raise Gone `closed`, Invalid."""
    if not 0 < minutes <= MAX_MINUTES:
        raise Invalid(f"A sign-in link lives for 1 to {MAX_MINUTES} minutes.", code="minutes", field="minutes")
    user = lock_user(user)
    if not user.is_active:
        raise Gone("This account was closed.", code="closed")
    key = Secret.new_secret()
    SignInLink.objects.filter(user=user).delete()
    SignInLink.objects.create(
        user=user, digest=Secret.digest_of(key), expires_at=timezone.now() + timedelta(minutes=minutes)
    )
    # In the query string, which neither our log nor that of deploy/nginx.conf contains.
    return f"{settings.PUBLIC_URL}{reverse('sign_in_link')}?{urlencode({'key': key})}"


def find_link(key: str) -> SignInLink:
    """Return the valid link with this key, and its user. Raise Gone `link_over`."""
    return single_use_links.find(SignInLink.objects.select_related("user"), key)


def use_link(key: str) -> User:
    """Use up a link and return its user. Raise Gone `link_over`, also for all but one of several concurrent calls."""
    return single_use_links.use(SignInLink.objects.select_related("user"), key).user


def first_administrator() -> User | None:
    """Return the first administrator of ADMIN_EMAILS, else the oldest administrator with an address."""
    administrators = User.objects.filter(role=Role.ADMIN, is_active=True, enabled=True).exclude(email=None)
    for email in settings.ADMIN_EMAILS:
        if listed := administrators.filter(email=email).first():
            return listed
    return administrators.order_by("created_at").first()
