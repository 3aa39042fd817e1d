import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# The points of level 2 (leaderboard.levels): nobody is told of level 1.
LEVEL_2 = 4
# Levels that were reached before this table existed and not told of yet are found by looking at everybody once.
EVERYBODY = f"""
INSERT INTO leaderboard_risen (person_id) SELECT person_id FROM leaderboard_standing
WHERE frame = 'total' AND lang = '' AND points >= {LEVEL_2} ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [
        ('leaderboard', '0002_places'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Risen',
            fields=[
                ('person', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'risen',
            },
        ),
        migrations.RunSQL(EVERYBODY, migrations.RunSQL.noop),
    ]
