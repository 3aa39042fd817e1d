"""What staff change about the account of somebody else: name, role, notes, and whether it is on the boards."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from oasst.accounts import names
from oasst.accounts.access import require_administrator, require_moderator
from oasst.accounts.locks import lock_administrators, lock_user
from oasst.accounts.models import Role, User
from oasst.accounts.roles import require_higher_rank
from oasst.core.errors import Conflict, Invalid
from oasst.core.text.validation import clean_name, clean_optional, clean_reason

FIELDS = ("display_name", "role", "show_on_leaderboard", "notes")
NOTES_LIMIT = 1024


def change_account(user: User, *, actor: User, reason: str, **values: Any) -> list[str]:
    """Set the given ones of FIELDS, and return the names of those that were different. The caller logs the reason.

    Only staff of a higher rank may do it, and only administrators change roles, so nobody raises themselves and an
    administrator always remains. Raise NotAllowed (`moderators_only`, `rank`, `administrators_only`), Invalid (the
    reason, the name, the role, the notes) or Conflict `closed`.
    """
    clean_reason(reason)
    cleaned = {name: _CLEAN[name](value) for name, value in values.items()}
    with names.naming(user):
        return _change(user, actor, cleaned)


@transaction.atomic
def _change(user: User, actor: User, values: dict[str, Any]) -> list[str]:
    if "role" in values:
        lock_administrators()  # the rank of the actor stays what it is
    actor.refresh_from_db()
    require_moderator(actor)
    lock_user(user)
    require_higher_rank(actor, user)
    if not user.is_active:
        raise Conflict(gettext("This account was closed."), code="closed")
    changed = [name for name in FIELDS if name in values and values[name] != getattr(user, name)]
    if "role" in changed:
        require_administrator(actor)
    columns = list(changed)
    for name in changed:
        if name == "display_name":
            names.claim_name(user, values[name])
            columns += names.FIELDS
        else:
            setattr(user, name, values[name])
    user.save(update_fields=columns)
    return changed


def _clean_role(value: object) -> str:
    if value not in Role.values:
        raise Invalid(gettext("There is no such role."), code="role", field="role")
    return str(value)


def _clean_notes(value: object) -> str:
    return clean_optional(value, limit=NOTES_LIMIT, field="notes")


_CLEAN: dict[str, Callable[[Any], Any]] = {
    "display_name": clean_name,
    "role": _clean_role,
    "show_on_leaderboard": bool,
    "notes": _clean_notes,
}
