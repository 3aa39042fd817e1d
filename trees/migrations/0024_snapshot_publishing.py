from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trees', '0023_reviewer_skills'),
    ]

    operations = [
        migrations.AddField(
            model_name='snapshot',
            name='published_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='snapshot',
            name='published_bytes',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='Of all files, when it was published last.'),
        ),
    ]
