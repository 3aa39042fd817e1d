from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0015_more_switches'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='single_keys_off',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
