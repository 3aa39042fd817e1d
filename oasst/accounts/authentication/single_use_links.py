"""Links that sign somebody in once: finding one by its key, and using it up."""

from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts.models import MailedSignIn, Secret, SignInLink
from oasst.core.errors import Gone

Link = TypeVar("Link", SignInLink, MailedSignIn)


def find(links: QuerySet[Link], key: str) -> Link:
    """Return the valid link with this key. Raise Gone `link_over`."""
    link = links.filter(digest=Secret.digest_of(key), expires_at__gt=timezone.now()).first()
    if link is None:
        raise _over()
    return link


def use(links: QuerySet[Link], key: str) -> Link:
    """Use up a link and return it. Raise Gone `link_over`, also for all but one of several concurrent calls."""
    link = find(links, key)
    deleted, _ = links.model._default_manager.filter(pk=link.pk).delete()
    if not deleted:
        raise _over()
    return link


def _over() -> Gone:
    return Gone(gettext("This sign-in link was used already, or is too old."), code="link_over")
