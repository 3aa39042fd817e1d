"""What is done first on a new site, where there is nothing to see yet. Reads only."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings

from oasst.accounts.models import User
from oasst.core.typed import in_this_home
from oasst.server_urls import is_local
from trees.models import MessageTree


@dataclass(frozen=True)
class FirstSteps:
    """Stays until there is a conversation, written here or imported."""

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


def find_first_steps(person: User, lang: str, *, has_trees: bool | None = None) -> FirstSteps | None:
    """None once there is a conversation, and then at most one statement; none where the caller knows (`has_trees`)."""
    if MessageTree.objects.exists() if has_trees is None else has_trees:
        return None
    return FirstSteps(
        may_operate=person.is_superuser,
        lang=lang,
        site_url=settings.PUBLIC_URL,
        is_local=is_local(settings.PUBLIC_URL),
        in_this_home=in_this_home(),
        demo_port=settings.PORT + 1,
        idempotency_key=uuid4(),
    )
