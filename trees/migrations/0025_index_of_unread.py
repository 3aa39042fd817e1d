from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Texts are written while it is made."""

    atomic = False

    dependencies = [
        ('trees', '0024_snapshot_publishing'),
    ]

    operations = [
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS revision_unread",  # what an interrupted run left
            migrations.RunSQL.noop,
        ),
        AddIndexConcurrently(
            model_name='revision',
            index=models.Index(condition=models.Q(('unread', True)), fields=['id'], name='revision_unread'),
        ),
    ]
