"""What people are called: names that are chosen here, that programs bring, and that we give.

A name that is chosen here is one's own: nobody may choose another that looks like it (`core.text.lookalikes`). A
name that a program brings is stored as sent. Where it looks like that of somebody else, or like the house, the name of
the program is shown beside it. Programs reserve nothing: whoever chooses such a name here gets it.

Whoever changes a name holds the lock of its skeleton until the commit, so nobody misses somebody who comes at the same
moment.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from psycopg.errors import UniqueViolation

from oasst.core.after_commit import enqueue_by_name
from oasst.core.errors import Invalid
from oasst.core.locks import advisory_lock
from oasst.core.text.lookalikes import poses_as_the_house, skeleton
from oasst.core.text.validation import NAME_LIMIT

if TYPE_CHECKING:
    from oasst.accounts.models import ApiClient, User

NAME_ONCE = "user_name_once"
MARK_ALIKE = "oasst.accounts.jobs.mark_alike"
FIELDS = ["display_name", "name_skeleton", "owns_name", "name_from", "program_beside"]
"""The columns that a change of the name writes."""

_MANNERS = (
    *("Able", "Amber", "Brave", "Bright", "Calm", "Candid", "Cheerful", "Clever", "Cosy", "Curious"),
    *("Daring", "Dapper", "Eager", "Fair", "Gentle", "Glad", "Golden", "Happy", "Honest", "Humble"),
    *("Jolly", "Keen", "Kind", "Lively", "Lucky", "Mellow", "Merry", "Mighty", "Neat", "Nimble"),
    *("Patient", "Plucky", "Polite", "Proud", "Quick", "Quiet", "Silver", "Steady", "Sunny", "Swift"),
    *("Tidy", "Trusty", "Vivid", "Warm", "Wise", "Witty", "Zesty"),
)
_CREATURES = (
    *("Badger", "Beaver", "Bison", "Bunting", "Cormorant", "Crane", "Curlew", "Dolphin", "Dormouse", "Eagle"),
    *("Egret", "Falcon", "Ferret", "Finch", "Fox", "Gecko", "Hare", "Hedgehog", "Heron", "Ibex"),
    *("Jackdaw", "Kestrel", "Kingfisher", "Koala", "Lark", "Lemur", "Lynx", "Magpie", "Marmot", "Marten"),
    *("Newt", "Nuthatch", "Otter", "Owl", "Panda", "Penguin", "Plover", "Puffin", "Raven", "Robin"),
    *("Salmon", "Seal", "Sparrow", "Squirrel", "Stork", "Swallow", "Tapir", "Tern", "Turtle", "Wombat"),
    *("Wren", "Yak"),
)


def friendly_name() -> str:
    """Two words, nothing to be ashamed of, for somebody who did not choose a name. Others may have it already."""
    return f"{secrets.choice(_MANNERS)} {secrets.choice(_CREATURES)}"


def tidy_name(name: str) -> str:
    """A name that another service gave, on one line and without what can not be seen. It is theirs, so all else stays;
    only the joiner of emojis is kept of what has no ink.
    """
    return " ".join("".join(c if c.isprintable() or c == "\u200d" else " " for c in name).split())


# --- Names that are chosen here ---


def claim(user: "User", name: str) -> None:
    """Make this the person's own name; the caller saves `FIELDS`. Needs an open transaction.

    Raises Invalid `name_taken` where somebody has a name that looks like it.
    """
    looks = skeleton(name)
    advisory_lock("name", looks)
    if is_taken(looks, but_of=user):
        raise taken()
    own(user, name)


def own(user: "User", name: str) -> None:
    """As `claim`, for a name that is known to be free."""
    before = user.name_skeleton
    for column, value in columns_of_own(name).items():
        setattr(user, column, value)
    _tell_alike(user, before)


def columns_of_own(name: str) -> dict[str, Any]:
    """What `FIELDS` say of somebody whose own name this is, for bulk loads of people who can be called like nobody."""
    looks = skeleton(name)
    return {"display_name": name, "name_skeleton": looks, "owns_name": True, "name_from": None, "program_beside": ""}


def is_taken(looks: str, *, but_of: "User | None" = None) -> bool:
    """Whether somebody chose a name with this skeleton here. One statement."""
    return _alike(looks, but_of).filter(name_from=None).exists()


def free_name(wanted: str, but_of: "User | None" = None) -> str:
    """This name, or a variation that nobody has, with a number. In a transaction it stays free until the end."""
    for name in _variations(wanted):
        looks = skeleton(name)
        if is_taken(looks, but_of=but_of):
            continue
        if transaction.get_connection().in_atomic_block:
            advisory_lock("name", looks)
            if is_taken(looks, but_of=but_of):  # by somebody whose commit was waited for
                continue
        return name
    raise taken()


def _variations(wanted: str) -> Iterator[str]:
    yield wanted
    for most in (9, 99, 9_999, 999_999, 99_999_999):
        for _ in range(4):
            number = str(2 + secrets.randbelow(most - 1))
            yield f"{wanted[: NAME_LIMIT - len(number) - 1].rstrip()} {number}"


def taken() -> Invalid:
    return Invalid(
        "Somebody has this name, or one that looks like it. Please choose another.",
        code="name_taken",
        field="display_name",
    )


@contextmanager
def taken_if_it_clashes(user: "User") -> Iterator[None]:
    """A transaction in which this person gets a name. Raises Invalid `name_taken` where the constraint refuses it; the
    person is then called as before.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if not is_clash(error):
            raise
        user.refresh_from_db(fields=FIELDS)
        raise taken() from error


def is_clash(error: IntegrityError) -> bool:
    """Whether it was the name that broke a constraint."""
    cause = error.__cause__
    return isinstance(cause, UniqueViolation) and cause.diag.constraint_name == NAME_ONCE


# --- Names that programs bring ---


def call(user: "User", name: str, client: "ApiClient") -> None:
    """Name this person as the program does; the caller saves `FIELDS`. Needs an open transaction. Refuses nothing."""
    before = user.name_skeleton
    looks = skeleton(name)
    user.display_name, user.name_skeleton = name, looks
    user.owns_name, user.name_from, user.program_beside = False, client, ""
    if looks:
        advisory_lock("name", looks)
        if poses_as_the_house(name) or _is_elsewhere(user, looks, client):
            user.program_beside = client.name
    _tell_alike(user, before)


def _is_elsewhere(user: "User", looks: str, client: "ApiClient") -> bool:
    """Whether somebody who is not one of this program's people is called alike. One statement, in three steps of the
    index: a program may have thousands of people of one name.
    """
    others = Q(name_from=None) | Q(name_from__lt=client.pk) | Q(name_from__gt=client.pk)
    return _alike(looks, user).filter(others).exists()


# --- Who is called alike ---


def forget(user: "User", name: str) -> None:
    """Free the name of an account that is closed, and give it this one; the caller saves `FIELDS`."""
    before = user.name_skeleton
    user.display_name, user.name_skeleton = name, ""
    user.owns_name, user.name_from, user.program_beside = False, None, ""
    _tell_alike(user, before)


def mark_again(user: "User") -> None:
    """Write again what follows from the name, which stays. Needs an open transaction and the lock of the person's row;
    the caller goes on to `mark_alike`, of what it looked like before as well.
    """
    looks = skeleton(user.display_name) if user.is_active or user.name_from_id else ""
    advisory_lock("name", looks)
    is_free = not _alike(looks, user).filter(owns_name=True).exists()
    user.name_skeleton = looks
    user.owns_name = bool(looks) and user.owns_name and user.name_from_id is None and is_free
    if user.name_from_id is None or not looks:
        user.program_beside = ""
    user.save(update_fields=FIELDS)


def mark_alike(looks: str) -> int:
    """Show the programs beside the names of their people with this skeleton, or not, as it is right now. How many
    changed. Repeating it changes nothing.
    """
    alike = _alike(looks)
    of_programs = alike.exclude(name_from=None)
    if len(alike.order_by().values("name_from").distinct()[:2]) > 1:
        wrong = dict(of_programs.filter(program_beside="").values_list("pk", "name_from__name"))
    else:
        marked = of_programs.exclude(program_beside="").values_list("pk", "display_name")
        wrong = {pk: "" for pk, name in marked if not poses_as_the_house(name)}
    for program in set(wrong.values()):
        alike.filter(pk__in=[pk for pk, right in wrong.items() if right == program]).update(program_beside=program)
    return len(wrong)


def _alike(looks: str, but_of: "User | None" = None) -> "QuerySet[User]":
    people: QuerySet[Any] = apps.get_model("accounts", "User").objects.filter(name_skeleton=looks)
    people = people.exclude(name_skeleton="")  # so that the partial index serves
    return people.exclude(pk=but_of.pk) if but_of else people


def _tell_alike(user: "User", before: str) -> None:
    """Have those looked at who are called as this person is now, or was before."""
    for looks in {before, user.name_skeleton}:
        if looks and _alike(looks, user).exclude(name_from=None).exists():
            enqueue_by_name(MARK_ALIKE, looks)
