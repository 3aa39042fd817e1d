"""What is done first on a new site, where there is nothing to see yet. Reads only."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings

from oasst.accounts.models import User
from trees.models import MessageTree


@dataclass(frozen=True)
class FirstSteps:
    """Stays until there is a conversation, written here or imported."""

    may_operate: bool
    """Whether this person is told commands: administrators, of whom one usually has the site's terminal."""
    invites: bool
    """Whether they are told how people come: as long as there is nobody but themselves."""
    lang: str
    site_url: str
    idempotency_key: UUID


def find_first_steps(person: User, lang: str, *, has_trees: bool | None = None) -> FirstSteps | None:
    """None once there is a conversation, and then at most one statement; none where the caller knows (`has_trees`)."""
    if MessageTree.objects.exists() if has_trees is None else has_trees:
        return None
    return FirstSteps(
        may_operate=person.is_superuser,
        invites=person.is_superuser and not User.objects.exclude(pk=person.pk).exists(),
        lang=lang,
        site_url=settings.PUBLIC_URL,
        idempotency_key=uuid4(),
    )
