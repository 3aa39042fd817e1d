"""What is done first on a new site, where there is nothing to see yet. Reads only."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings

from oasst.accounts.models import User
from oasst.core.command_lines import in_this_home
from oasst.core.server_urls import is_local
from trees.models import Message, MessageTree


@dataclass(frozen=True)
class FirstSteps:
    """Stays until there is a conversation, written here or imported; for whoever operates the site and is its only
    person, what invites others stays until one of them comes.
    """

    may_operate: bool
    """Whether this person is told commands: administrators, of whom one usually has the site's terminal."""
    lang: str
    site_url: str
    is_local: bool
    """Whether that address leads nobody on another machine here."""
    in_this_home: str
    """What stands before commands, so that they work on this site; for administrators only."""
    demo_port: int
    idempotency_key: UUID
    only_invite: bool
    """Whether there are conversations, and nobody else to go on with them."""


def find_first_steps(person: User, lang: str, *, has_trees: bool | None = None) -> FirstSteps | None:
    """None once there is a conversation, and then at most one statement; none where the caller knows (`has_trees`).
    For administrators one more, or two where nobody else has written.
    """
    if has_trees is None:
        has_trees = MessageTree.objects.exists()
    if has_trees and not (person.is_superuser and _is_alone(person)):
        return None
    return FirstSteps(
        may_operate=person.is_superuser,
        lang=lang,
        site_url=settings.PUBLIC_URL,
        is_local=is_local(settings.PUBLIC_URL),
        in_this_home=in_this_home(),
        demo_port=settings.PORT + 1,
        idempotency_key=uuid4(),
        only_invite=has_trees,
    )


def _is_alone(person: User) -> bool:
    """Nobody else has written or signed in. An account that was only made still needs its link."""
    if Message.objects.exclude(author=person).exists():
        return False
    return not User.objects.exclude(pk=person.pk).filter(last_login__isnull=False).exists()
