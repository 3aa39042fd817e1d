"""Check what is stored beside users' names: their skeletons (what they look like) and the API client to show."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import CharField, Exists, F, Max, Min, OuterRef, Q, QuerySet, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce

from oasst.accounts.models import User
from oasst.accounts.names import MARK_ALIKE
from oasst.core.models import WaitingJob
from oasst.core.text.lookalikes import impersonates_staff, skeleton
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.tasks import MAX_DIFFERENCES

CHECK = "names_are_marked_as_they_look"
_CHUNK = 2000  # rows in memory at a time
_COPIES = ("name_skeleton", "owns_name", "name_from", "program_beside")


def find_differences() -> Iterator[Difference]:
    """Return the first thousand differences, found by one statement whose rows are read in chunks."""
    return islice(_differences(), MAX_DIFFERENCES)


def _users() -> QuerySet[Any]:
    # One subquery finds all names that look alike, because an API client may have thousands of users of one name.
    client = Coalesce(Cast("name_from", CharField()), Value(""))
    skeletons = User.objects.exclude(name_skeleton="").values("name_skeleton")
    alike = skeletons.annotate(one=Min(client), other=Max(client)).exclude(one=F("other"))
    # Names whose MARK_ALIKE job still waits are not wrong yet.
    waiting = WaitingJob.objects.annotate(look=KT("args__0")).filter(job=MARK_ALIKE, look=OuterRef("name_skeleton"))
    users = User.objects.filter(~Exists(waiting)).only("display_name", "is_active", *_COPIES)
    return users.annotate(is_alike=Q(name_skeleton__in=alike.values("name_skeleton")))


def _differences() -> Iterator[Difference]:
    for user in _users().iterator(_CHUNK):
        is_from_client = user.name_from_id is not None
        # A closed account has no skeleton, unless an API client names it again.
        expected_skeleton = skeleton(user.display_name) if user.is_active or is_from_client else ""
        # Which of several users owns a name from before the rule cannot be derived, so the stored value is taken.
        owns_name = user.owns_name and bool(expected_skeleton) and not is_from_client
        shows_client = (
            is_from_client and bool(expected_skeleton) and (user.is_alike or impersonates_staff(user.display_name))
        )
        expected = expected_skeleton, owns_name, shows_client
        stored = user.name_skeleton, user.owns_name, bool(user.program_beside)
        if expected != stored:
            yield Difference(CHECK, f"user {user.pk}", _describe(*expected), _describe(*stored))


def _describe(name_skeleton: str, owns_name: bool, shows_client: bool) -> str:
    parts = [repr(name_skeleton), "one's own" if owns_name else "", "with its program" if shows_client else ""]
    return ", ".join(filter(None, parts))
