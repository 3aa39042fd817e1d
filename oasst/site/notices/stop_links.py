"""Signed links in mails that stop digests without a sign-in (RFC 8058). They hold no more than the person's id."""

from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse

from oasst.accounts.models import User
from oasst.core.errors import Gone

_SALT = "oasst.site.notices.stop"


def stop_link(person_id: UUID) -> str:
    """Return the link for a mail. It does not expire, since mails are kept for years, and only ends mails."""
    key = signing.dumps(person_id.hex, salt=_SALT)
    # In the query string, which no log contains.
    return f"{settings.PUBLIC_URL}{reverse('notices_stop')}?{urlencode({'key': key})}"


def find_person(key: str) -> User:
    """Return whom a link belongs to. Raise Gone `link_over`."""
    try:
        person = User.objects.filter(pk=UUID(hex=signing.loads(key, salt=_SALT)), is_active=True).first()
    except (signing.BadSignature, ValueError, TypeError):
        person = None
    if person is None:
        raise Gone("This link is not one of ours, or its account was closed.", code="link_over")
    return person
