from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Messages are written while it is made."""

    atomic = False

    dependencies = [
        ('trees', '0017_looks_like'),
    ]

    operations = [
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS message_looks_other",  # what an interrupted run left
            migrations.RunSQL.noop,
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('looks_like', ''), _negated=True), fields=['-id'], name='message_looks_other'),
        ),
    ]
