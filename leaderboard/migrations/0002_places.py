"""Scores move out of the rows that count: see leaderboard.models.

Nobody waits for it long: the new tables are filled and indexed before the old indexes go, and only whoever counts waits
for all of it, by the lock that they share.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from oasst.core.locks import advisory_lock

FRAMES = [(frame, frame) for frame in ("day", "week", "month", "total")]
MEASURES = ("points", "quality", "writing", "reviewing", "ranking")


def wait_for_who_counts(apps, schema_editor):
    advisory_lock("leaderboard")


def scores():
    """Of a person on a board."""
    return [
        (
            "pk",
            models.CompositePrimaryKey(
                "frame", "lang", "person_id", blank=True, editable=False, primary_key=True, serialize=False
            ),
        ),
        ("frame", models.CharField(choices=FRAMES, max_length=8)),
        ("lang", models.CharField(blank=True, max_length=32)),
        (
            "person",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        *((measure, models.IntegerField()) for measure in MEASURES),
    ]


def by(table, measure):
    return models.Index(
        models.F("frame"),
        models.F("lang"),
        models.OrderBy(models.F(measure), descending=True),
        models.F("person"),
        name=f"{table}_by_{measure}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("leaderboard", "0001_boards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(wait_for_who_counts, wait_for_who_counts),
        migrations.CreateModel("Place", fields=scores()),
        migrations.CreateModel(
            "Moved",
            fields=[
                *scores(),
                (
                    "stands",
                    models.BooleanField(db_default=True, help_text="No: nothing of theirs is counted any more."),
                ),
            ],
            options={"verbose_name_plural": "moved"},
        ),
        migrations.RunSQL(
            f"""
            INSERT INTO leaderboard_place (frame, lang, person_id, {", ".join(MEASURES)})
            SELECT frame, lang, person_id, {", ".join(MEASURES)} FROM leaderboard_standing
            """,
            migrations.RunSQL.noop,
        ),
        *(migrations.AddIndex("place", by("place", measure)) for measure in MEASURES),
        migrations.RunSQL("ANALYZE leaderboard_place", migrations.RunSQL.noop),
        # Room in each page for the next form of its rows. Rows that are there move once to a page that has some.
        migrations.RunSQL("ALTER TABLE leaderboard_moved SET (fillfactor = 50)", migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE leaderboard_standing SET (fillfactor = 50)",
            "ALTER TABLE leaderboard_standing RESET (fillfactor)",
        ),
        migrations.RunSQL(
            "ALTER TABLE leaderboard_trollstanding SET (fillfactor = 50)",
            "ALTER TABLE leaderboard_trollstanding RESET (fillfactor)",
        ),
        *(migrations.RemoveIndex("standing", f"standing_by_{measure}") for measure in MEASURES),
    ]
