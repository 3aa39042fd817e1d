from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

NAMES = ('message_out_of_sight', 'message_edited', 'reading_toxicity', 'reaction_flags')


class Migration(migrations.Migration):
    """Messages are written while they are made."""

    atomic = False

    dependencies = [
        ('trees', '0037_decisions_of_moderators'),
    ]

    operations = [
        *(
            migrations.RunSQL(
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}",  # what an interrupted run left
                migrations.RunSQL.noop,
            )
            for name in NAMES
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('deleted', True), ('hidden', True), ('withdrawn', True), _connector='OR'), fields=['created_at', 'id'], name='message_out_of_sight'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('edited', True)), fields=['created_at', 'id'], name='message_edited'),
        ),
        AddIndexConcurrently(
            model_name='messagereading',
            index=models.Index(Cast(KeyTextTransform('toxicity', 'result'), models.FloatField()), models.F('revision'), condition=models.Q(('kind', 'toxicity')), name='reading_toxicity'),
        ),
        AddIndexConcurrently(
            model_name='reaction',
            index=models.Index(condition=models.Q(('emoji', 'red_flag'), ('set_aside', None), ('withdrawn_at', None)), fields=['message'], name='reaction_flags'),
        ),
    ]
