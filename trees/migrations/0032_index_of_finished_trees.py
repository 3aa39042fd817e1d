from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Trees are finished while it is made."""

    atomic = False

    dependencies = [
        ('trees', '0031_practice'),
    ]

    operations = [
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS tree_finished",  # what an interrupted run left
            migrations.RunSQL.noop,
        ),
        AddIndexConcurrently(
            model_name='messagetree',
            index=models.Index(condition=models.Q(('state', 'ready_for_export')), fields=['lang', 'number'], name='tree_finished'),
        ),
    ]
