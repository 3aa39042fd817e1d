from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0013_appeals_links_and_thanks'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='daily_goal',
            field=models.PositiveSmallIntegerField(db_default=5, default=5, help_text='Pieces of work a day; 0 means no goal.'),
        ),
    ]
