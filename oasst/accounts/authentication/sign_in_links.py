"""Links that sign one person in, once: for sites without mail, and for people whom no mail reaches.

Only whoever runs the site makes them, on its terminal. What is stored is a hash of the key.
"""

from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.locks import lock_user
from oasst.accounts.models import Role, Secret, SignInLink, User
from oasst.core.errors import Gone, Invalid

DEFAULT_MINUTES = 15
MOST_MINUTES = 24 * 60


@transaction.atomic
def make_link(user: User, *, minutes: int) -> str:
    """The address that signs this person in once, told only now. An earlier one stops working.

    Raises Gone `closed`, or Invalid `minutes`.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise Invalid(f"A sign-in link lives for 1 to {MOST_MINUTES} minutes.", code="minutes", field="minutes")
    user = lock_user(user)
    if not user.is_active:
        raise Gone("This account was closed.", code="closed")
    key = Secret.new_secret()
    SignInLink.objects.filter(user=user).delete()
    SignInLink.objects.create(
        user=user, digest=Secret.digest_of(key), expires_at=timezone.now() + timedelta(minutes=minutes)
    )
    # In the query, which neither our log nor any of deploy/nginx.conf has.
    return f"{settings.PUBLIC_URL}{reverse('sign_in_link')}?{urlencode({'key': key})}"


def find_link(key: str) -> SignInLink:
    """The link that still works by this key, with its person. Raises Gone `link_over`."""
    links = SignInLink.objects.filter(expires_at__gt=timezone.now()).select_related("user")
    link = links.filter(digest=Secret.digest_of(key)).first()
    if link is None:
        raise _over()
    return link


def use_link(key: str) -> User:
    """Whom to sign in by this key. Of several calls at once one gets the person, the others Gone `link_over`."""
    link = find_link(key)
    used, _ = SignInLink.objects.filter(pk=link.pk).delete()
    if not used:
        raise _over()
    return link.user


def first_administrator() -> User | None:
    """Who runs the site: the first of ADMIN_EMAILS who is one, else the oldest administrator with an address."""
    administrators = User.objects.filter(role=Role.ADMIN, is_active=True, enabled=True).exclude(email=None)
    for email in settings.ADMIN_EMAILS:
        if listed := administrators.filter(email=email).first():
            return listed
    return administrators.order_by("created_at").first()


def _over() -> Gone:
    return Gone("This sign-in link was used already, or is too old.", code="link_over")
