import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.functions.text
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("inference", "0001_chats"),
    ]

    operations = [
        # Not Django's TrigramExtension: going back must leave it to the data set, which needs it too.
        migrations.RunSQL("CREATE EXTENSION IF NOT EXISTS pg_trgm", migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="chatmessage",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.search.SearchVector("content", config="simple"), name="chat_message_words"
            ),
        ),
        migrations.AddIndex(
            model_name="chatmessage",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("content"), name="gin_trgm_ops"
                ),
                name="chat_message_pieces",
            ),
        ),
    ]
