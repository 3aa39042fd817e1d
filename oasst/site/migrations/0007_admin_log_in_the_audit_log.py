"""The log of Django's admin moves into the audit log, which replaces it."""

import hashlib
import json
import secrets

from django.db import migrations

BATCH = 1000


def move(apps, schema_editor):
    """Copy each line as an act `admin.act`, and delete it. What was done before has no before and after."""
    LogEntry = apps.get_model('admin', 'LogEntry')
    while lines := list(LogEntry.objects.select_related('content_type').order_by('pk')[:BATCH]):
        authors = _authors(apps, lines)
        for line in lines:
            _copy(apps, line, authors)
        LogEntry.objects.filter(pk__in=[line.pk for line in lines]).delete()


def _kind(line):
    return f'{line.content_type.app_label}.{line.content_type.model}' if line.content_type else ''


def _authors(apps, lines):
    """Return whom the lines about messages and accounts concern, so that their purge erases the words."""
    # A conversation has the id of its prompt.
    kinds = ('trees.message', 'trees.messagetree', 'trees.goldmessage')
    ids = [line.object_id for line in lines if _kind(line) in kinds]
    messages = apps.get_model('trees', 'Message')._base_manager.filter(pk__in=ids)
    people = [line.object_id for line in lines if _kind(line) == 'accounts.user']
    users = apps.get_model('accounts', 'User')._base_manager.filter(pk__in=people)
    found = {str(pk): author for pk, author in messages.values_list('pk', 'author')}
    return found | {str(pk): pk for pk in users.values_list('pk', flat=True)}


def _copy(apps, line, authors):
    salt = secrets.token_hex(16)
    words = json.dumps([salt, line.change_message, '', ''], ensure_ascii=False, separators=(',', ':'))
    entry = apps.get_model('core', 'AuditEntry').objects.create(
        at=line.action_time,
        act='admin.act',
        actor_id=line.user_id,
        target_type=_kind(line),
        target_id=(line.object_id or '')[:64],
        person_id=authors.get(line.object_id),
        text_digest=hashlib.sha256(words.encode()).hexdigest(),
    )
    apps.get_model('core', 'AuditText').objects.create(entry=entry, salt=salt, reason=line.change_message)


class Migration(migrations.Migration):

    dependencies = [
        ('admin', '0003_logentry_add_action_flag_choices'),
        ('accounts', '0016_single_keys'),
        ('core', '0003_audit'),
        ('site', '0006_moderated'),
        ('trees', '0037_decisions_of_moderators'),
    ]

    operations = [migrations.RunPython(move, migrations.RunPython.noop)]
