from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """In a transaction of its own, so that people can react meanwhile."""

    dependencies = [
        ('trees', '0015_complaints_said_again'),
    ]

    operations = [
        ValidateConstraint(model_name='reaction', name='reaction_withdrawn_weighs_nothing'),
    ]
