from django.db import migrations, models


class Migration(migrations.Migration):
    """Reviews are stored while their index is made. By itself, so that it can be repeated after an interruption."""

    atomic = False

    dependencies = [
        ('trees', '0028_desk_of_readings'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS review_check_once",  # what an interrupted run left
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY review_check_once ON trees_review (revision_id, author_id, kind) "
                    "WHERE kind IN ('gold', 'repeat')",
                    "DROP INDEX CONCURRENTLY review_check_once",
                ),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name='review',
                    constraint=models.UniqueConstraint(condition=models.Q(('kind__in', ['gold', 'repeat'])), fields=('revision', 'author', 'kind'), name='review_check_once'),
                ),
            ],
        ),
    ]
