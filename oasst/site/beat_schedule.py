"""The periodic jobs and their default times, which `./manage.py setup_schedules` writes into the database.

Administrators change times and switch jobs off at /admin/; their changes stay.
"""

from dataclasses import dataclass

from celery.schedules import crontab


@dataclass(frozen=True)
class ScheduleEntry:
    name: str
    job: str
    """Its name in Celery."""
    when: crontab


SCHEDULES = (
    ScheduleEntry("Send again what the queue lost", "oasst.site.schedules.send_waiting_jobs", crontab()),
    ScheduleEntry("Count what happened", "leaderboard.jobs.count_what_happened", crontab()),
    ScheduleEntry("Tell webhooks what happened", "trees.jobs.send_webhooks", crontab()),
    ScheduleEntry("Tell people what happened", "oasst.site.notices.jobs.write_notices", crontab()),
    ScheduleEntry("Tell people of new levels", "oasst.site.notices.jobs.tell_levels", crontab()),
    ScheduleEntry("Mail what people have not read", "oasst.site.notices.jobs.begin_digests", crontab(minute="20")),
    ScheduleEntry(
        "Delete notices of last year", "oasst.site.notices.jobs.forget_old_notices", crontab(hour="4", minute="35")
    ),
    ScheduleEntry("Let machines read new texts", "trees.jobs.queue_unread_texts", crontab()),
    ScheduleEntry("Find messages that say the same", "trees.jobs.find_near_duplicates", crontab(minute="*/5")),
    ScheduleEntry(
        "Forget what webhooks were told long ago", "trees.schedules.forget_deliveries", crontab(hour="4", minute="5")
    ),
    ScheduleEntry("Chain what moderators did", "oasst.site.schedules.link_audit_entries", crontab()),
    ScheduleEntry(
        "Check the log of what moderators did", "oasst.site.schedules.verify_audit_log", crontab(hour="3", minute="50")
    ),
    ScheduleEntry(
        "Forget who held items of the desk", "oasst.site.schedules.forget_desk_claims", crontab(hour="4", minute="55")
    ),
    ScheduleEntry(
        "Lift suspensions that are over", "oasst.site.schedules.lift_ended_suspensions", crontab(minute="*/5")
    ),
    ScheduleEntry("Count what waits for moderators", "oasst.site.schedules.count_queues", crontab(minute="*/10")),
    ScheduleEntry(
        "Forget acts on many that nobody began", "oasst.site.schedules.clean_desk", crontab(hour="4", minute="25")
    ),
    ScheduleEntry("Let old work leave the boards", "leaderboard.schedules.move_boards_on", crontab()),
    ScheduleEntry("Put the boards in order", "leaderboard.schedules.put_boards_in_order", crontab(minute="*/10")),
    ScheduleEntry("Refresh the statistics", "leaderboard.schedules.refresh_statistics", crontab(minute="*/10")),
    ScheduleEntry("Close expired tasks", "tasks.schedules.clean_up", crontab(minute="10")),
    ScheduleEntry("Move trees on that no answer moves", "tasks.schedules.move_trees_on", crontab(minute="40")),
    ScheduleEntry("Measure what each language can carry", "tasks.schedules.measure_capacity", crontab(minute="*/15")),
    ScheduleEntry("Try failed scorings again", "trees.schedules.retry_scoring", crontab(minute="*/10")),
    ScheduleEntry(
        "Go on with purges and make old ones final", "oasst.site.schedules.look_after_purges", crontab(minute="*/15")
    ),
    ScheduleEntry("Rate the models of the chat", "inference.schedules.rate_models", crontab(minute="25")),
    ScheduleEntry(
        "Propose questions that were answered badly",
        "trees.schedules.propose_hard_prompts",
        crontab(hour="5", minute="5"),
    ),
    ScheduleEntry(
        "Learn how reliable reviewers are", "trees.schedules.learn_reviewers", crontab(hour="2", minute="50")
    ),
    ScheduleEntry("Learn what reviewers accept", "trees.schedules.learn_quality", crontab(hour="3", minute="35")),
    ScheduleEntry("Predict what reviewers will say", "trees.schedules.predict_quality", crontab()),
    ScheduleEntry("Find the topics of prompts", "trees.schedules.find_topics", crontab(hour="2", minute="20")),
    ScheduleEntry("End chat answers that are overdue", "inference.schedules.end_overdue", crontab()),
    ScheduleEntry("Remove deleted chats for good", "inference.schedules.remove_what_is_due", crontab(minute="*/10")),
    ScheduleEntry(
        "Clear sessions that are over", "oasst.site.schedules.clear_sessions", crontab(hour="4", minute="15")
    ),
    ScheduleEntry(
        "Clear sessions of nobody that are over", "oasst.site.schedules.clear_sessions_of_nobody", crontab(minute="25")
    ),
    ScheduleEntry(
        "Check that counts and states agree", "oasst.site.schedules.check_invariants", crontab(hour="3", minute="20")
    ),
)
