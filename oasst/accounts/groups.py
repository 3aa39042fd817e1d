"""The permission groups: who may see which pages of the admin and act there. docs/permissions.md shows the result.

A user's groups follow from their own row (`User.role` and `User.duties`), and this table says what each group may do,
so that a check needs no query. `write_groups` keeps Django's rows of groups and permissions the same after each
migration, for tools that read those.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig, apps
from django.db import models
from django.utils.translation import gettext_lazy as _

MODERATORS, ADMINISTRATORS, OPERATORS, AUDITORS = GROUPS = ("Moderators", "Administrators", "Operators", "Auditors")

MODERATE = "accounts.moderate"
"""Decides about texts and people. The services also check the rank and the language."""
ADMINISTER = "accounts.administer"
"""Decides about moderators, rights, parameters, gold messages and practice texts."""
OPERATE = "accounts.operate"
"""Keeps the site running: schedules, site settings, API clients and their keys, webhooks."""
EXPORT_LOG = "core.export_auditentry"
"""Takes the audit log away as a file."""

_SEEN_BY_MODERATORS = frozenset(
    {
        *("accounts.view_user", "accounts.view_appeal", "accounts.view_accountwarning"),
        *("leaderboard.view_trollstanding", "inference.view_chatreport"),
    }
)
"""What moderators see besides the data set."""
_NOT_SEEN_BY_MODERATORS = frozenset(
    {"trees.view_webhook", "trees.view_delivery", "trees.view_goldmessage", "trees.view_practicetext"}
)
"""What they do not see of it: URLs of webhooks may contain secrets, and moderators review gold messages too."""
_SEEN_BY_OPERATORS = frozenset(
    {
        *("accounts.view_apiclient", "accounts.view_apikey", "accounts.view_sitesettings"),
        *("trees.view_webhook", "trees.view_delivery", "inference.view_turn"),
        *("inference.view_servedmodel", "inference.view_trainingrun", "inference.view_evaluation"),
        *("trees.view_policyversion", "trees.view_policyrun"),
        *("core.view_jobrecord", "core.view_waitingjob"),
    }
)
"""How the site runs: no text of anybody, and nothing about people. Turns are shown without their texts, and
trainings have none."""


class Duty(models.TextChoices):
    """What administrators give to a user besides the role."""

    OPERATOR = "operator", _("Operator")
    AUDITOR = "auditor", _("Auditor")


_OF_DUTY = {Duty.OPERATOR: OPERATORS, Duty.AUDITOR: AUDITORS}
_OF_ROLE = {"moderator": MODERATORS, "admin": ADMINISTRATORS}


def groups_of(role: str, duties: Iterable[str]) -> list[str]:
    """Return the names of the groups of a user with this role and these duties."""
    by_role = [_OF_ROLE[role]] if role in _OF_ROLE else []
    return by_role + [group for duty, group in _OF_DUTY.items() if duty in duties]


def allows(group: str, permission: str) -> bool:
    """Return True if this group has this permission, such as trees.view_message."""
    app, _separator, name = permission.partition(".")
    is_view = name.startswith("view_")
    if group == ADMINISTRATORS:
        return is_view or permission in (MODERATE, ADMINISTER, OPERATE, EXPORT_LOG)
    if group == AUDITORS:
        return is_view or permission == EXPORT_LOG
    if group == OPERATORS:
        return permission == OPERATE or permission in _SEEN_BY_OPERATORS
    if permission == MODERATE or permission in _SEEN_BY_MODERATORS:
        return True
    return is_view and app == "trees" and permission not in _NOT_SEEN_BY_MODERATORS


def write_groups(app_config: AppConfig, **_signal: Any) -> None:
    """Make Django's groups have the permissions of this table. Called after a migration, once for each app; the last
    call does the work, when the permissions of all apps are there.
    """
    if app_config is not [one for one in apps.get_app_configs() if one.models_module][-1]:
        return
    from django.contrib.auth.models import Group, Permission

    Group.objects.bulk_create([Group(name=name) for name in GROUPS], ignore_conflicts=True)
    rows = Permission.objects.values_list("pk", "content_type__app_label", "codename")
    permissions = {f"{app}.{name}": pk for pk, app, name in rows}
    granted = Group.permissions.through.objects
    for group in Group.objects.filter(name__in=GROUPS):
        wanted = {pk for permission, pk in permissions.items() if allows(group.name, permission)}
        granted.filter(group=group).exclude(permission__in=wanted).delete()
        rights = [Group.permissions.through(group_id=group.pk, permission_id=pk) for pk in sorted(wanted)]
        granted.bulk_create(rights, ignore_conflicts=True)
