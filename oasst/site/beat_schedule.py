"""What the clock sets off, and when: the table behind `./manage.py setup_schedules`.

The hours are the first proposal. Administrators change times and switches at /admin/, and what they changed stays.
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
    Entry("Send again what the queue lost", "oasst.site.schedules.send_waiting_jobs", crontab()),
    Entry("Count what happened", "leaderboard.jobs.count_what_happened", crontab()),
    Entry("Tell webhooks what happened", "trees.jobs.send_webhooks", crontab()),
    Entry(
        "Forget what webhooks were told long ago", "trees.schedules.forget_deliveries", crontab(hour="4", minute="5")
    ),
    Entry("Let old work leave the boards", "leaderboard.schedules.move_boards_on", crontab()),
    Entry("Put the boards in order", "leaderboard.schedules.put_boards_in_order", crontab(minute="*/10")),
    Entry("Refresh the statistics", "leaderboard.schedules.refresh_statistics", crontab(minute="*/10")),
    Entry("Close expired tasks", "tasks.schedules.clean_up", crontab(minute="10")),
    Entry("Move trees on that no answer moves", "tasks.schedules.move_trees_on", crontab(minute="40")),
    Entry("Measure what each language can carry", "tasks.schedules.measure_capacity", crontab(minute="*/15")),
    Entry("Try failed scorings again", "trees.schedules.retry_scoring", crontab(minute="*/10")),
    Entry(
        "Go on with purges and make old ones final", "oasst.site.schedules.look_after_purges", crontab(minute="*/15")
    ),
    Entry("Learn how reliable reviewers are", "trees.schedules.learn_reviewers", crontab(hour="2", minute="50")),
    Entry("End chat answers that are overdue", "inference.schedules.end_overdue", crontab()),
    Entry("Remove deleted chats for good", "inference.schedules.remove_what_is_due", crontab(minute="*/10")),
    Entry("Clear sessions that are over", "oasst.site.schedules.clear_sessions", crontab(hour="4", minute="15")),
    Entry(
        "Clear sessions of nobody that are over", "oasst.site.schedules.clear_sessions_of_nobody", crontab(minute="25")
    ),
    Entry(
        "Check that counts and states agree", "oasst.site.schedules.check_invariants", crontab(hour="3", minute="20")
    ),
)
