from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Events are stored while it runs, and each step can be repeated after an interruption.

    Events from before tell nobody anything: they are noticed already. Neither default rewrites the table.
    """

    atomic = False

    dependencies = [
        ('trees', '0032_index_of_finished_trees'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE trees_happening ADD COLUMN IF NOT EXISTS noticed boolean NOT NULL DEFAULT true",
                    "ALTER TABLE trees_happening DROP COLUMN IF EXISTS noticed",
                ),
                migrations.RunSQL(
                    "ALTER TABLE trees_happening ALTER COLUMN noticed SET DEFAULT false",
                    migrations.RunSQL.noop,
                ),
            ],
            state_operations=[
                migrations.AddField(
                    model_name='happening',
                    name='noticed',
                    field=models.BooleanField(db_default=False, editable=False),
                ),
            ],
        ),
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS happening_unnoticed",  # what an interrupted run left
            migrations.RunSQL.noop,
        ),
        AddIndexConcurrently(
            model_name='happening',
            index=models.Index(condition=models.Q(('noticed', False)), fields=['id'], name='happening_unnoticed'),
        ),
    ]
