import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import oasst.core.ids


class Migration(migrations.Migration):

    dependencies = [
        ('trees', '0030_search_by_pairs'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Practice',
            fields=[
                ('id', models.UUIDField(default=oasst.core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('example', models.CharField(blank=True, help_text='The name of the example; empty for a message.', max_length=64)),
                ('work', models.CharField(choices=[('label_assistant_reply', 'label_assistant_reply'), ('label_initial_prompt', 'label_initial_prompt'), ('label_prompter_reply', 'label_prompter_reply')], max_length=32)),
                ('lang', models.CharField(max_length=32)),
                ('compared', models.PositiveSmallIntegerField(help_text='Questions that this person and enough reviewers answered.')),
                ('agreed', models.PositiveSmallIntegerField(help_text='Those of them where this person agreed with most reviewers.')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('message', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='trees.message')),
                ('person', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='practices', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('person', 'message', 'example'), name='practice_once', nulls_distinct=False),
                    models.CheckConstraint(condition=models.Q(('message', None), ('example', ''), _connector='XOR'), name='practice_of_message_or_example'),
                    models.CheckConstraint(condition=models.Q(('agreed__lte', models.F('compared'))), name='practice_agreed_of_all'),
                ],
            },
        ),
    ]
