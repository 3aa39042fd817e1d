"""What staff change about the account of somebody else: name, rights, notes, and whether it is on the boards."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from oasst.accounts import acts, names
from oasst.accounts.access import require_administrator, require_moderator
from oasst.accounts.groups import Duty
from oasst.accounts.locks import lock_administrators, lock_user
from oasst.accounts.models import Role, User
from oasst.accounts.roles import require_higher_rank
from oasst.core.audit.putting_back import as_stored, built_on, is_still, read_changes, set_columns
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict, Invalid
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_language_tag, clean_name, clean_optional, clean_reason

FIELDS = ("display_name", "role", "duties", "moderated_languages", "show_on_leaderboard", "notes")
RIGHTS = ("role", "duties", "moderated_languages")
"""Only administrators change these."""
NOTES_LIMIT = 1024


def change_account(user: User, *, actor: User, reason: str, **values: Any) -> list[str]:
    """Set the given ones of FIELDS, and return the names of those that were different.

    Only staff of a higher rank may do it, and only administrators change RIGHTS, so nobody raises themselves and an
    administrator always remains. Raise NotAllowed (`moderators_only`, `rank`, `administrators_only`), Invalid (the
    reason, the name, the role, the duties, the languages, the notes) or Conflict `closed`.
    """
    reason = clean_reason(reason)
    cleaned = {name: _CLEAN[name](value) for name, value in values.items()}
    with names.naming(user):
        return _change(user, actor, reason, cleaned)


@transaction.atomic
def _change(user: User, actor: User, reason: str, values: dict[str, Any]) -> list[str]:
    if not values.keys().isdisjoint(RIGHTS):
        lock_administrators()  # the rank of the actor stays what it is
    actor.refresh_from_db()
    require_moderator(actor)
    lock_user(user)
    require_higher_rank(actor, user)
    if not user.is_active:
        raise Conflict(gettext("This account was closed."), code="closed")
    changed = [name for name in FIELDS if name in values and values[name] != getattr(user, name)]
    if not set(RIGHTS).isdisjoint(changed):
        require_administrator(actor)
    with recorded_rows(acts.CHANGE, user, watched(user), actor=actor, person_id=user.pk, reason=reason):
        columns = list(changed)
        for name in changed:
            if name == "display_name":
                names.claim_name(user, values[name])
                columns += names.FIELDS
            else:
                setattr(user, name, values[name])
        user.save(update_fields=columns)
    return changed


def undo_change(user: User, entry: AuditEntry, *, actor: User) -> None:
    """Give the account back what a change took, where it is still as that left it. Needs an open transaction.

    Raise as `change_account`, Conflict `built_on` if nothing is, and Invalid `name_taken`.
    """
    changes = read_changes(entry)
    lock_administrators()
    actor.refresh_from_db()
    lock_user(user)
    require_higher_rank(actor, user)
    before, after = changes.of("user", user.pk)
    columns = {name: before[name] for name in after if is_still(user, {name: after[name]})}
    if not columns:
        raise built_on()
    if "role" in columns:
        require_administrator(actor)
    named = {name for name in columns if name in names.FIELDS or name in _COLUMN_OF.values()}
    set_columns(user, {name: value for name, value in columns.items() if name not in named})
    if "display_name" in named:
        names.restore_name(user, {name: as_stored(User, name, columns[name]) for name in named})
    else:  # the present name is another one, and these are about it
        columns = {name: value for name, value in columns.items() if name not in named}
    user.save(update_fields=[name.removesuffix("_id") for name in columns])


def watched(user: User) -> dict[str, Watched]:
    """Return what a change of this account can change, for the audit log."""
    columns = (*FIELDS, *(_COLUMN_OF.get(name, name) for name in names.FIELDS if name not in FIELDS))
    return {"user": Watched(User.objects.filter(pk=user.pk), columns)}


_COLUMN_OF = {"name_from": "name_from_id"}


def _clean_role(value: object) -> str:
    if value not in Role.values:
        raise Invalid(gettext("There is no such role."), code="role", field="role")
    return str(value)


def _clean_duties(value: Any) -> list[str]:
    if not set(value) <= {*Duty.values}:
        raise Invalid(gettext("There is no such duty."), code="duties", field="duties")
    return sorted(set(value))


def _clean_languages(value: Any) -> list[str]:
    return sorted({clean_language_tag(lang, field="moderated_languages") for lang in value})


def _clean_notes(value: object) -> str:
    return clean_optional(value, limit=NOTES_LIMIT, field="notes")


_CLEAN: dict[str, Callable[[Any], Any]] = {
    "display_name": clean_name,
    "role": _clean_role,
    "duties": _clean_duties,
    "moderated_languages": _clean_languages,
    "show_on_leaderboard": bool,
    "notes": _clean_notes,
}
