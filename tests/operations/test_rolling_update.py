"""During a rolling update, the previous release works on tables that are migrated already."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField
from django.db.models import NOT_PROVIDED

from oasst.accounts.models import User

OURS = ("accounts", "core", "inference", "leaderboard", "site", "tasks", "trees")
# Of releases that no longer run beside the next one.
OLDER = {
    *("inference.0004_completions_and_outcomes", "inference.0005_choices", "trees.0002_initial"),
    *("trees.0006_purges_and_corrections", "trees.0009_webhooks"),
}


def test_whoever_does_not_know_a_column_can_leave_it_out() -> None:
    found = [
        f"{app}.{name}: {step.model_name}.{step.name}"
        for (app, name), migration in MigrationLoader(None).disk_migrations.items()
        if app in OURS and f"{app}.{name}" not in OLDER
        for step in migration.operations
        if isinstance(step, AddField) and not step.field.many_to_many
        if not step.field.null and step.field.db_default is NOT_PROVIDED
    ]
    assert found == [], "give these columns a db_default"


@pytest.mark.django_db
def test_the_release_before_names_adds_a_person() -> None:
    known = "id, password, display_name, role, created_at, time_zone, interface_language, contribution_languages"
    more = "enabled, ban_reason, is_active, notes, show_on_leaderboard, terms_version"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO accounts_user ({known}, {more}) VALUES (gen_random_uuid(), '', 'Ada', 'general', now(), "
            "'UTC', 'en', '{}', true, '', true, '', true, '')"
        )
    ada = User.objects.get(display_name="Ada")
    assert (ada.name_skeleton, ada.owns_name, ada.program_beside) == ("", False, "")
