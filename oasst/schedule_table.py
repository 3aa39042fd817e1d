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
    Entry("Measure what each language can carry", "tasks.schedules.measure_capacity", crontab(minute="*/15")),
    Entry("Try failed scorings again", "trees.schedules.retry_scoring", crontab(minute="*/10")),
    Entry("Go on with purges and make old ones final", "oasst.schedules.look_after_purges", crontab(minute="*/15")),
    Entry("Check that counts and states agree", "oasst.schedules.check_invariants", crontab(hour="3", minute="20")),
)
