"""Do the copies beside people's names say what the names say: what they look like, and which program stands there?"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import CharField, Exists, F, Max, Min, OuterRef, Q, QuerySet, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce

from oasst.accounts.models import User
from oasst.accounts.names import MARK_ALIKE
from oasst.core.models import WaitingJob
from oasst.core.text.lookalikes import poses_as_the_house, skeleton
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.tasks import MOST

CHECK = "names_are_marked_as_they_look"
_PAGE = 2000  # rows in memory at a time
_COPIES = ("name_skeleton", "owns_name", "name_from", "program_beside")


def differences() -> Iterator[Difference]:
    """One statement, whose rows are read a few at a time. The first thousand."""
    return islice(_differences(), MOST)


def _people() -> QuerySet[Any]:
    # Who is called alike is found for all at once: a program may have thousands of people of one name.
    program = Coalesce(Cast("name_from", CharField()), Value(""))
    looks = User.objects.exclude(name_skeleton="").values("name_skeleton")
    alike = looks.annotate(one=Min(program), other=Max(program)).exclude(one=F("other"))
    # Where the job that marks them waits still, nothing is wrong yet; it is stored with the name.
    waits = WaitingJob.objects.annotate(look=KT("args__0")).filter(job=MARK_ALIKE, look=OuterRef("name_skeleton"))
    people = User.objects.filter(~Exists(waits)).only("display_name", "is_active", *_COPIES)
    return people.annotate(is_alike=Q(name_skeleton__in=alike.values("name_skeleton")))


def _differences() -> Iterator[Difference]:
    for person in _people().iterator(_PAGE):
        is_brought = person.name_from_id is not None
        # A closed account has no name to look like, unless a program names it once more.
        right = skeleton(person.display_name) if person.is_active or is_brought else ""
        # Which of several people of before the rule owns a name is theirs alone to know.
        may_own = person.owns_name and bool(right) and not is_brought
        is_marked = is_brought and bool(right) and (person.is_alike or poses_as_the_house(person.display_name))
        expected = right, may_own, is_marked
        found = person.name_skeleton, person.owns_name, bool(person.program_beside)
        if expected != found:
            yield Difference(CHECK, f"user {person.pk}", _words(*expected), _words(*found))


def _words(looks: str, owns: bool, is_marked: bool) -> str:
    marks = [repr(looks), "one's own" if owns else "", "with its program" if is_marked else ""]
    return ", ".join(filter(None, marks))
