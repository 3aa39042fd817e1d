"""Jobs are named after their modules, and some of those moved: names that are stored follow."""

from django.db import migrations
from django.utils import timezone

MOVED = {
    "oasst.purge.go_on_with_purge": "oasst.site.purging.go_on_with_purge",
    "oasst.schedules.check_invariants": "oasst.site.schedules.check_invariants",
    "oasst.schedules.clear_sessions": "oasst.site.schedules.clear_sessions",
    "oasst.schedules.clear_sessions_of_nobody": "oasst.site.schedules.clear_sessions_of_nobody",
    "oasst.schedules.look_after_purges": "oasst.site.schedules.look_after_purges",
    "oasst.schedules.send_waiting_jobs": "oasst.site.schedules.send_waiting_jobs",
    "trees.notices.mail_about_withdrawal": "trees.moderation.notices.mail_about_withdrawal",
    "trees.notices.mail_author": "trees.moderation.notices.mail_author",
}
# `setup_schedules` knows by this description which schedules are its own.
DESCRIPTIONS = {
    "From oasst.schedule_table. Change time and switch freely: they are kept.": (
        "From oasst.site.beat_schedule. Change time and switch freely: they are kept."
    )
}


def forwards(apps, schema_editor):
    rename(apps, MOVED, DESCRIPTIONS)


def backwards(apps, schema_editor):
    rename(apps, {new: old for old, new in MOVED.items()}, {new: old for old, new in DESCRIPTIONS.items()})


def rename(apps, names, descriptions):
    waiting = apps.get_model("core", "WaitingJob").objects
    records = apps.get_model("core", "JobRecord").objects
    scheduled = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for old, new in names.items():
        waiting.filter(job=old).update(job=new)
        if records.filter(job=new).exists():
            records.filter(job=old).delete()
        records.filter(job=old).update(job=new)
        scheduled.filter(task=old).update(task=new)
    for old, new in descriptions.items():
        scheduled.filter(description=old).update(description=new)
    # A clock that runs reads its table again when it sees this change.
    apps.get_model("django_celery_beat", "PeriodicTasks").objects.update(last_update=timezone.now())


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_jobs"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
