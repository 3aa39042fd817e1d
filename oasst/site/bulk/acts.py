"""What can be done to many at once, and the names of these acts in the audit log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts import warnings
from oasst.accounts.models import User
from oasst.core.audit.acts import register
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.site.models import BulkAct
from trees.models import Deletion
from trees.moderation import bans, moderator_actions
from trees.policies.reading import current_policy

START = register("bulk.start", _("began an act on many at once"))
STOP = register("bulk.stop", _("stopped an act on many at once"))
GO_ON = register("bulk.go_on", _("let an act on many at once go on"))
UNDO = register("bulk.undo", _("began to undo an act on many at once"))

Act = BulkAct.Act


@dataclass(frozen=True)
class Kind:
    """An act, its words, and the service that does it to one row."""

    act: Act
    done: Any
    """What a finished row is called, such as "removed"."""
    do: Callable[[UUID, User, BulkAct], object]
    """Called with the id of the message or person, the moderator, and the whole."""
    on_people: bool = False
    takes_below: bool = False
    """It takes everything below a message with it."""
    stops_trees: bool = False
    """Done to a prompt, it stops the conversation."""


def _delete(message_id: UUID, actor: User, bulk: BulkAct) -> object:
    return moderator_actions.delete_message(message_id=message_id, **_why(actor, bulk))


def _hide(message_id: UUID, actor: User, bulk: BulkAct) -> None:
    moderator_actions.hide(message_id=message_id, **_why(actor, bulk))


def _keep(message_id: UUID, actor: User, bulk: BulkAct) -> None:
    moderator_actions.keep(message_id=message_id, **_why(actor, bulk))


def _move(tree_id: UUID, actor: User, bulk: BulkAct) -> None:
    moderator_actions.move_to_language(tree_id=tree_id, lang=bulk.value, **_why(actor, bulk))


def _restore(message_id: UUID, actor: User, bulk: BulkAct) -> object:
    found = Deletion.objects.filter(message=message_id, undone_at=None).order_by("-id").first()
    if found is None:
        raise Conflict(gettext("It is not removed any more, or went with a message above it."), code="already_undone")
    return moderator_actions.undelete(deletion_id=found.pk, **_why(actor, bulk))


def _suspend(person_id: UUID, actor: User, bulk: BulkAct) -> object:
    """Suspend for `bulk.value` days from now, or until somebody lifts it."""
    until = timezone.now() + timedelta(days=int(bulk.value)) if bulk.value else None
    return bans.ban(_person(person_id), actor=actor, reason=bulk.reason, until=until)


def _warn(person_id: UUID, actor: User, bulk: BulkAct) -> object:
    return warnings.warn(user=_person(person_id), actor=actor, reason=bulk.reason)


def _why(actor: User, bulk: BulkAct) -> dict[str, Any]:
    return {"actor": actor, "reason": bulk.reason, "policy": current_policy()}


def _person(person_id: UUID) -> User:
    try:
        return User.objects.get(pk=person_id)
    except User.DoesNotExist:
        raise NotFound(gettext("There is no such person."), code="user_not_found") from None


KINDS = {
    kind.act: kind
    for kind in (
        Kind(Act.DELETE, _("removed"), _delete, takes_below=True, stops_trees=True),
        Kind(Act.HIDE, _("hidden"), _hide, stops_trees=True),
        Kind(Act.KEEP, _("kept"), _keep),
        Kind(Act.MOVE, _("moved"), _move),
        Kind(Act.RESTORE, _("brought back"), _restore),
        Kind(Act.WARN, _("warned"), _warn, on_people=True),
        Kind(Act.SUSPEND, _("suspended"), _suspend, on_people=True),
    )
}


def kind_of(name: str) -> Kind:
    """Return the kind of act with this name. Raise Invalid (`unknown_act`)."""
    try:
        return KINDS[Act(name)]
    except ValueError:
        raise Invalid(gettext("Please choose what to do."), code="unknown_act", field="act") from None
