from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_daily_goal"),
    ]

    operations = [
        migrations.AddField(
            model_name="sitesettings",
            name="chat_drafts",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Off: the chat answers each question once, which takes less of the machine.",
                verbose_name="several answers to a question",
            ),
        ),
        migrations.AddField(
            model_name="sitesettings",
            name="sign_in_proof",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Off: many codes asked for from one address cost no computation; their limits remain.",
                verbose_name="proof of work before mailed codes",
            ),
        ),
    ]
