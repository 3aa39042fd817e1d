"""Do the copies beside people's names say what the names say: what they look like, and which program stands there?"""

from collections.abc import Iterator
from itertools import islice

from django.db import connection

from oasst.accounts.names import MARK_ALIKE
from oasst.core.text.lookalikes import poses_as_the_house, skeleton
from oasst.site.invariants.difference import Difference
from oasst.site.invariants.tasks import MOST

CHECK = "names_are_marked_as_they_look"
_PAGE = 2000  # rows in memory at a time
# Who is called alike is found for all at once: a program may have thousands of people of one name. Where the job that
# marks them waits still, nothing is wrong yet; it is stored with the name.
_PEOPLE = """
    SELECT person.id, person.display_name, person.is_active, person.name_skeleton, person.owns_name,
           person.name_from_id IS NOT NULL, person.program_beside, alike.name_skeleton IS NOT NULL
    FROM accounts_user person
    LEFT JOIN (
        SELECT name_skeleton FROM accounts_user WHERE name_skeleton <> '' GROUP BY name_skeleton
        HAVING min(coalesce(name_from_id::text, '')) <> max(coalesce(name_from_id::text, ''))
    ) alike ON alike.name_skeleton = person.name_skeleton
    WHERE NOT EXISTS (
        SELECT FROM core_waitingjob waits WHERE waits.job = %s AND waits.args ->> 0 = person.name_skeleton
    )
"""


def differences() -> Iterator[Difference]:
    """One statement, whose rows are read a few at a time. The first thousand."""
    return islice(_differences(), MOST)


def _differences() -> Iterator[Difference]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_PEOPLE, [MARK_ALIKE])
        while rows := cursor.fetchmany(_PAGE):
            for person_id, name, is_active, looks, owns, is_brought, beside, is_alike in rows:
                # A closed account has no name to look like, unless a program names it once more.
                right = skeleton(name) if is_active or is_brought else ""
                # Which of several people of before the rule owns a name is theirs alone to know.
                may_own = owns and bool(right) and not is_brought
                is_marked = is_brought and bool(right) and (is_alike or poses_as_the_house(name))
                expected, found = (right, may_own, is_marked), (looks, owns, bool(beside))
                if expected != found:
                    yield Difference(CHECK, f"user {person_id}", _words(*expected), _words(*found))


def _words(looks: str, owns: bool, is_marked: bool) -> str:
    marks = [repr(looks), "one's own" if owns else "", "with its program" if is_marked else ""]
    return ", ".join(filter(None, marks))
