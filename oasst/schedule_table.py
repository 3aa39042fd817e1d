"""What the clock sets off, and when: the table behind `manage.py setup_schedules`.

The hours are the first proposal. The admin shows administrators when each ran; rows that an operator changed stay.
"""

from dataclasses import dataclass

from celery.schedules import crontab


@dataclass(frozen=True)
class Entry:
    name: str
    job: str
    """The name under which Celery knows it."""
    when: crontab


SCHEDULES = (
    Entry("Close expired tasks", "tasks.schedules.clean_up", crontab(minute="10")),
    Entry("Move trees on that no answer moves", "tasks.schedules.move_trees_on", crontab(minute="40")),
    Entry("End chat answers that are overdue", "inference.schedules.end_overdue", crontab()),
    Entry("Check that counts and states agree", "oasst.schedules.check_invariants", crontab(hour="3", minute="20")),
)
