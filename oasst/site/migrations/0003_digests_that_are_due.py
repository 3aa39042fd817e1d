from django.db import migrations, models

# Who has something unread that was in no mail: the clock finds a morning for them.
DUE_NOW = """
INSERT INTO site_noticeaccount (person_id, muted, digest, level, digest_due_at)
SELECT DISTINCT person_id, '{}'::varchar[], 'weekly', 1, now() FROM site_notice
WHERE read_at IS NULL AND mailed_at IS NULL
ON CONFLICT (person_id) DO UPDATE SET digest_due_at = now() WHERE site_noticeaccount.digest <> 'none'
"""


class Migration(migrations.Migration):

    dependencies = [
        ('site', '0002_notices'),
    ]

    operations = [
        migrations.AddField(
            model_name='noticeaccount',
            name='digest_due_at',
            field=models.DateTimeField(editable=False, help_text='When the next mail is due; empty if there is nothing to tell.', null=True),
        ),
        migrations.AddIndex(
            model_name='noticeaccount',
            index=models.Index(condition=models.Q(('digest_due_at__isnull', False)), fields=['digest_due_at', 'person'], name='notice_digest_due'),
        ),
        migrations.RunSQL(DUE_NOW, migrations.RunSQL.noop),
    ]
