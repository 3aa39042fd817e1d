"""Display names: chosen by users, sent by API clients, or generated.

A name that a user chooses here is their own: nobody else may choose one that looks like it (`core.text.lookalikes`).
Names from API clients are stored as sent and reserve nothing. If one looks like another user's name, or like the people
who run the site, the name of the API client is shown beside it.

Every change of a name holds the lock of its skeleton until the commit, so that concurrent changes see each other.
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
from oasst.core.text.lookalikes import impersonates_staff, skeleton
from oasst.core.text.validation import NAME_LIMIT

if TYPE_CHECKING:
    from oasst.accounts.models import ApiClient, User

NAME_ONCE = "user_name_once"
MARK_ALIKE = "oasst.accounts.jobs.mark_alike"
FIELDS = ["display_name", "name_skeleton", "owns_name", "name_from", "program_beside"]
"""The fields to save after a change of the name."""

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
    """Return a harmless two-word name for a user without one. It may be taken."""
    return f"{secrets.choice(_MANNERS)} {secrets.choice(_CREATURES)}"


def tidy_name(name: str) -> str:
    """Return a name from another service on one line, without invisible characters except the joiner of emojis."""
    return " ".join("".join(c if c.isprintable() or c == "\u200d" else " " for c in name).split())


# --- Names that users choose ---


def claim_name(user: "User", name: str) -> None:
    """Give the user a name that they chose; the caller saves `FIELDS`. Needs an open transaction.

    Raise Invalid `name_taken` if somebody has a name that looks like it.
    """
    key = skeleton(name)
    advisory_lock("name", key)
    if is_taken(key, but_of=user):
        raise name_taken_error()
    set_own_name(user, name)


def set_own_name(user: "User", name: str) -> None:
    """Do the same as `claim_name` for a name that is known to be free."""
    previous = user.name_skeleton
    for column, value in own_name_columns(name).items():
        setattr(user, column, value)
    _notify_lookalikes(user, previous)


def own_name_columns(name: str) -> dict[str, Any]:
    """Return the values of `FIELDS` for a name of the user's own. Bulk loads use it for names that nobody else has."""
    key = skeleton(name)
    return {"display_name": name, "name_skeleton": key, "owns_name": True, "name_from": None, "program_beside": ""}


def is_taken(key: str, *, but_of: "User | None" = None) -> bool:
    """Return True if another user chose a name with this skeleton. One query."""
    return _lookalikes(key, but_of).filter(name_from=None).exists()


def free_name(preferred: str, but_of: "User | None" = None) -> str:
    """Return this name or a free variation with a number. Inside a transaction it stays free until the end."""
    for name in _variations(preferred):
        key = skeleton(name)
        if is_taken(key, but_of=but_of):
            continue
        if transaction.get_connection().in_atomic_block:
            advisory_lock("name", key)
            if is_taken(key, but_of=but_of):  # by the transaction that held the lock
                continue
        return name
    raise name_taken_error()


def _variations(preferred: str) -> Iterator[str]:
    yield preferred
    for largest in (9, 99, 9_999, 999_999, 99_999_999):
        for _ in range(4):
            number = str(2 + secrets.randbelow(largest - 1))
            yield f"{preferred[: NAME_LIMIT - len(number) - 1].rstrip()} {number}"


def name_taken_error() -> Invalid:
    return Invalid(
        "Somebody has this name, or one that looks like it. Please choose another.",
        code="name_taken",
        field="display_name",
    )


@contextmanager
def naming(user: "User") -> Iterator[None]:
    """Open a transaction in which the user gets a name.

    If the constraint refuses it, raise Invalid `name_taken` and restore the previous name.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if not is_name_conflict(error):
            raise
        user.refresh_from_db(fields=FIELDS)
        raise name_taken_error() from error


def is_name_conflict(error: IntegrityError) -> bool:
    """Return True if the name violated its constraint."""
    cause = error.__cause__
    return isinstance(cause, UniqueViolation) and cause.diag.constraint_name == NAME_ONCE


def restore_name(user: "User", columns: dict[str, Any]) -> None:
    """Give the user the name back that these values of `FIELDS` are; the caller saves them. Needs an open transaction.

    Raise Invalid `name_taken` if somebody else chose a name that looks like it meanwhile.
    """
    previous = user.name_skeleton
    for column, value in columns.items():
        setattr(user, column, value)
    advisory_lock("name", user.name_skeleton)
    if user.owns_name and is_taken(user.name_skeleton, but_of=user):
        raise name_taken_error()
    _notify_lookalikes(user, previous)


# --- Names from API clients ---


def set_client_name(user: "User", name: str, client: "ApiClient") -> None:
    """Give the user the name that the API client sent; the caller saves `FIELDS`. Never refuses a name.

    Needs an open transaction.
    """
    previous = user.name_skeleton
    key = skeleton(name)
    user.display_name, user.name_skeleton = name, key
    user.owns_name, user.name_from, user.program_beside = False, client, ""
    if key:
        advisory_lock("name", key)
        # Two ranges instead of `exclude`, so that the index serves even if a client has thousands of users of one name.
        others = Q(name_from=None) | Q(name_from__lt=client.pk) | Q(name_from__gt=client.pk)
        if impersonates_staff(name) or _lookalikes(key, user).filter(others).exists():
            user.program_beside = client.name
    _notify_lookalikes(user, previous)


# --- Look-alike names ---


def release_name(user: "User", name: str) -> None:
    """Free the name of a closed account and replace it by `name`; the caller saves `FIELDS`."""
    previous = user.name_skeleton
    user.display_name, user.name_skeleton = name, ""
    user.owns_name, user.name_from, user.program_beside = False, None, ""
    _notify_lookalikes(user, previous)


def recompute_name(user: "User") -> None:
    """Write the columns that follow from the unchanged name again. Needs the lock of the user's row.

    Afterwards the caller runs `update_lookalikes`, also for the previous skeleton.
    """
    key = skeleton(user.display_name) if user.is_active or user.name_from_id else ""
    advisory_lock("name", key)
    is_free = not _lookalikes(key, user).filter(owns_name=True).exists()
    user.name_skeleton = key
    user.owns_name = bool(key) and user.owns_name and user.name_from_id is None and is_free
    if user.name_from_id is None or not key:
        user.program_beside = ""
    user.save(update_fields=FIELDS)


def update_lookalikes(key: str) -> int:
    """Show or hide the API client beside all names with this skeleton. Return how many changed. Idempotent."""
    alike = _lookalikes(key)
    from_clients = alike.exclude(name_from=None)
    if len(alike.order_by().values("name_from").distinct()[:2]) > 1:
        changes = dict(from_clients.filter(program_beside="").values_list("pk", "name_from__name"))
    else:
        marked = from_clients.exclude(program_beside="").values_list("pk", "display_name")
        changes = {pk: "" for pk, name in marked if not impersonates_staff(name)}
    for client_name in set(changes.values()):
        pks = [pk for pk, new_name in changes.items() if new_name == client_name]
        alike.filter(pk__in=pks).update(program_beside=client_name)
    return len(changes)


def _lookalikes(key: str, but_of: "User | None" = None) -> "QuerySet[User]":
    users: QuerySet[Any] = apps.get_model("accounts", "User").objects.filter(name_skeleton=key)
    users = users.exclude(name_skeleton="")  # so that the partial index serves
    return users.exclude(pk=but_of.pk) if but_of else users


def _notify_lookalikes(user: "User", previous: str) -> None:
    """Let a job check the users whose names look like this user's new or previous name."""
    for key in {previous, user.name_skeleton}:
        if key and _lookalikes(key, user).exclude(name_from=None).exists():
            enqueue_by_name(MARK_ALIKE, key)
