"""manage.py setup_schedules: write Beat's schedules into the database."""

from typing import Any

from celery import current_app
from celery.schedules import crontab
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from oasst.embedded.commands import ServiceCommand
from oasst.site.beat_schedule import SCHEDULES, ScheduleEntry

MARK = "From oasst.site.beat_schedule. Change time and switch freely: they are kept."


class Command(ServiceCommand):
    help = (
        "Write the schedules of oasst.site.beat_schedule into the database, by name. Running it again adds what is "
        "new and removes what the table no longer has; times and switches that an administrator changed stay as they "
        "are."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        current_app.loader.import_default_modules()
        entries = [entry for entry in SCHEDULES if entry.job in current_app.tasks]
        for entry in entries:
            _, created = PeriodicTask.objects.get_or_create(
                name=entry.name,
                defaults={"task": entry.job, "crontab": _crontab(entry.when), "description": MARK},
            )
            if created:
                self.stdout.write(f"added: {entry.name}")
        self._follow_renamed_jobs(entries)
        gone = PeriodicTask.objects.filter(description=MARK).exclude(name__in=[entry.name for entry in entries])
        for task in gone:
            self.stdout.write(f"removed: {task.name}")
            task.delete()

    def _follow_renamed_jobs(self, entries: list[ScheduleEntry]) -> None:
        """Update which code an entry runs; when it runs stays as administrators set it."""
        for entry in entries:
            for task in PeriodicTask.objects.filter(name=entry.name).exclude(task=entry.job):
                task.task = entry.job
                task.save()


def _crontab(when: crontab) -> CrontabSchedule:
    schedule = CrontabSchedule.from_schedule(when)
    if schedule.pk is None:
        schedule.save()
    return schedule
