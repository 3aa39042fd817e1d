import django.db.models.deletion
import django.utils.timezone
import oasst.core.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inference', '0007_wanted_turns_and_their_door'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # The table keeps its name: no statement to the database.
        migrations.AlterModelTable(name='offeredmodel', table='inference_offeredmodel'),
        migrations.RenameModel(old_name='OfferedModel', new_name='ServedModel'),
        migrations.AddField(
            model_name='servedmodel',
            name='changed_at',
            field=models.DateTimeField(blank=True, help_text='When its stage was last set or taken back.', null=True),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='digest',
            field=models.CharField(blank=True, db_default='', default='', help_text='Of its weights.', max_length=64),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='folder',
            field=models.CharField(blank=True, db_default='', default='', help_text='Below OASST_HOME, or absolute.', max_length=500),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='license',
            field=models.CharField(blank=True, db_default='', default='', max_length=100),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='origin',
            field=models.CharField(choices=[('settings', 'Named in the settings'), ('fetched', 'Fetched'), ('trained', 'Trained here')], db_default='settings', default='settings', max_length=16),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='parent',
            field=models.ForeignKey(blank=True, help_text='Trained from it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='inference.servedmodel'),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='previous_share',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='previous_stage',
            field=models.CharField(blank=True, choices=[('nobody', 'Nobody'), ('staff', 'Moderators and administrators'), ('share', 'A share of the users'), ('all', 'Everybody')], db_default='', default='', max_length=16),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='previous_staged_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='share',
            field=models.PositiveSmallIntegerField(db_default=5, default=5, help_text='Percent of the users at that stage.'),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='stage',
            field=models.CharField(choices=[('nobody', 'Nobody'), ('staff', 'Moderators and administrators'), ('share', 'A share of the users'), ('all', 'Everybody')], db_default='nobody', default='nobody', max_length=16),
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='staged_at',
            field=models.DateTimeField(blank=True, help_text='When it came to this stage.', null=True),
        ),
        migrations.CreateModel(
            name='Evaluation',
            fields=[
                ('id', models.UUIDField(default=oasst.core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(editable=False, help_text='SHA-256 of all that decides the report.', max_length=64)),
                ('snapshot', models.CharField(max_length=64)),
                ('snapshot_digest', models.CharField(max_length=64)),
                ('report', models.JSONField(default=dict)),
                ('gate', models.JSONField(default=dict, help_text='Its rules at that time.')),
                ('passed', models.BooleanField(help_text='Empty: no gate was asked.', null=True)),
                ('reasons', models.JSONField(default=list, help_text='Sentences: why it did not pass, or what it passed.')),
                ('page', models.CharField(blank=True, help_text='The report as HTML, below OASST_HOME.', max_length=500)),
                ('seconds', models.FloatField(default=0)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('against', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inference.servedmodel')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='inference.servedmodel')),
            ],
        ),
        migrations.CreateModel(
            name='TrainingRun',
            fields=[
                ('id', models.UUIDField(default=oasst.core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(editable=False, help_text='SHA-256 of all that decides the weights: same key, same model.', max_length=64)),
                ('method', models.CharField(help_text='See inference.training.config.', max_length=16)),
                ('config', models.JSONField(default=dict, help_text='All settings, defaults included.')),
                ('base', models.CharField(help_text='The model it starts from.', max_length=200)),
                ('base_digest', models.CharField(max_length=64)),
                ('base_folder', models.CharField(db_default='', help_text='Below OASST_HOME, or absolute.', max_length=500)),
                ('snapshot', models.CharField(help_text='Its name.', max_length=64)),
                ('snapshot_digest', models.CharField(help_text='SHA-256 of its manifest.', max_length=64)),
                ('code_version', models.CharField(blank=True, max_length=64)),
                ('host', models.CharField(blank=True, max_length=64)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('stopped', 'Stopped'), ('failed', 'Failed')], default='waiting', max_length=16)),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('stop_asked_at', models.DateTimeField(blank=True, null=True)),
                ('began_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('owner', models.CharField(blank=True, max_length=64)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('fruitless_claims', models.PositiveSmallIntegerField(default=0, help_text='Since the last step.')),
                ('step', models.PositiveIntegerField(default=0)),
                ('steps', models.PositiveIntegerField(default=0, help_text='In all; 0 while unknown.')),
                ('figures', models.JSONField(default=dict, help_text='The last ones.')),
                ('funnels', models.JSONField(default=dict, help_text='What became of the rows of the snapshot.')),
                ('seconds', models.FloatField(default=0, help_text='Of computing.')),
                ('peak_bytes', models.PositiveBigIntegerField(default=0, help_text='Of memory.')),
                ('folder', models.CharField(blank=True, help_text='Of the model, below OASST_HOME.', max_length=500)),
                ('model_digest', models.CharField(blank=True, help_text='Of its weights.', max_length=64)),
                ('error_code', models.CharField(blank=True, max_length=32)),
                ('error', models.CharField(blank=True, max_length=1000)),
                ('asked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='TrainingPoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('step', models.PositiveIntegerField()),
                ('figures', models.JSONField(default=dict)),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='points', to='inference.trainingrun')),
            ],
        ),
        migrations.AddField(
            model_name='servedmodel',
            name='run',
            field=models.OneToOneField(blank=True, help_text='That made it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='served', to='inference.trainingrun'),
        ),
        migrations.AddConstraint(
            model_name='servedmodel',
            constraint=models.CheckConstraint(condition=models.Q(('share__gte', 1), ('share__lte', 100)), name='model_share_is_percent'),
        ),
        migrations.AddIndex(
            model_name='evaluation',
            index=models.Index(fields=['key'], name='evaluation_by_key'),
        ),
        migrations.AddIndex(
            model_name='trainingrun',
            index=models.Index(condition=models.Q(('state__in', ('waiting', 'running'))), fields=['asked_at'], name='training_open'),
        ),
        migrations.AddIndex(
            model_name='trainingrun',
            index=models.Index(fields=['key'], name='training_by_key'),
        ),
        migrations.AddConstraint(
            model_name='trainingrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_until__isnull', False), ('state', 'running')), models.Q(models.Q(('state', 'running'), _negated=True), ('lease_until', None), ('owner', '')), _connector='OR'), name='training_held_while_running'),
        ),
        migrations.AddConstraint(
            model_name='trainingpoint',
            constraint=models.UniqueConstraint(fields=('run', 'step'), name='training_point_once'),
        ),
    ]
