"""The first steps that a new site proposes to its first user. Reads only."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings

from oasst.accounts.models import User
from oasst.core.command_lines import home_prefix
from oasst.core.server_urls import is_local
from trees.models import Message, MessageTree


@dataclass(frozen=True)
class FirstSteps:
    """Shown until there is a conversation, written or imported. An administrator who is the only user sees how to
    invite others until one of them comes.
    """

    may_operate: bool
    """True for administrators, who see commands for the terminal."""
    lang: str
    site_url: str
    is_local: bool
    """True if `site_url` does not work from other machines."""
    home_prefix: str
    """The prefix that makes commands work on this site; for administrators only."""
    demo_port: int
    idempotency_key: UUID
    only_invite: bool
    """True if there are conversations, but no other user to continue them."""


def find_first_steps(user: User, lang: str, *, has_trees: bool | None = None) -> FirstSteps | None:
    """Return what to show to this user; None once there is a conversation and, for administrators, another user.

    Takes one SQL statement, or none if the caller passes `has_trees`; for administrators up to two more.
    """
    if has_trees is None:
        has_trees = MessageTree.objects.exists()
    if has_trees and not (user.is_superuser and _is_alone(user)):
        return None
    return FirstSteps(
        may_operate=user.is_superuser,
        lang=lang,
        site_url=settings.PUBLIC_URL,
        is_local=is_local(settings.PUBLIC_URL),
        home_prefix=home_prefix(),
        demo_port=settings.PORT + 1,
        idempotency_key=uuid4(),
        only_invite=has_trees,
    )


def _is_alone(user: User) -> bool:
    """Return True if no other user has written or signed in. A new account without a sign-in does not count."""
    if Message.objects.exclude(author=user).exists():
        return False
    return not User.objects.exclude(pk=user.pk).filter(last_login__isnull=False).exists()
