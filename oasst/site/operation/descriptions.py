"""What each job is for, what happens without it, and whether it may be switched off or given up.

A test compares this table with the jobs that exist.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from oasst.site.health import HEARTBEAT_JOB


class Group(models.TextChoices):
    """Whom or what a job serves, in the order of the page."""

    SITE = "site", _("The site itself")
    COLLECTION = "collection", _("Collecting and reviewing")
    PEOPLE = "people", _("People")
    BOARDS = "boards", _("Boards and statistics")
    CHAT = "chat", _("Chat")
    COMMIT = "commit", _("After what somebody did")
    OTHER = "other", _("Others")


@dataclass(frozen=True)
class Description:
    """What people should know of a job."""

    job: str
    """Its name in Celery."""
    title: Any
    group: Group
    about: Any
    """What it is for, as one sentence."""
    while_off: Any = ""
    """What happens while the clock does not run it, as one sentence; empty for jobs that the clock does not know."""
    needed: Any = ""
    """Why it cannot be switched off; empty if it can."""
    most_apart: timedelta | None = None
    """The longest time between two runs that the site bears."""
    is_long: bool = False
    """It is a NightJob."""
    is_personal: bool = False
    """It handles the data of one person, so the message of an error is not shown: it may quote them."""
    loss: Any = ""
    """What is lost if a waiting run is given up; it does no harm."""
    kept: Any = ""
    """Why a waiting run cannot be given up, and what helps instead."""


_FOUND_AGAIN = _("Nothing: the clock finds this work again.")

_CLOCK = (
    Description(
        HEARTBEAT_JOB,
        _("Send again what the queue lost"),
        Group.SITE,
        _("Sends jobs again that the queue lost, and shows that beat and a worker are alive."),
        _("What people did would stay half done whenever a job is lost."),
        needed=_("Lost jobs would never run, and /readyz could not tell whether the worker lives."),
        most_apart=timedelta(minutes=2),
    ),
    Description(
        "oasst.site.schedules.link_audit_entries",
        _("Chain the audit log"),
        Group.SITE,
        _("Appends new entries of the audit log to its chain of hashes."),
        _("New entries could be changed without a trace."),
        needed=_("Entries that are not chained could be changed without a trace."),
        most_apart=timedelta(minutes=10),
    ),
    Description(
        "oasst.site.schedules.verify_audit_log",
        _("Check the audit log"),
        Group.SITE,
        _("Computes the chain of the audit log again, and fails if an entry is missing or was changed."),
        _("A changed entry would stay unnoticed."),
        needed=_("Nobody would notice that the audit log was changed."),
        most_apart=timedelta(days=7),
        is_long=True,
    ),
    Description(
        "oasst.site.schedules.check_invariants",
        _("Check that counts and states agree"),
        Group.SITE,
        _("Compares stored counts, scores and states with the facts, and fails if they differ."),
        _("Differences stay unnoticed until somebody runs ./manage.py check_invariants."),
        is_long=True,
    ),
    Description(
        "oasst.site.schedules.clear_sessions",
        _("Clear ended sessions"),
        Group.SITE,
        _("Deletes sessions that are over."),
        _("The table of sessions grows."),
    ),
    Description(
        "oasst.site.schedules.clear_sessions_of_nobody",
        _("Clear ended sessions of visitors"),
        Group.SITE,
        _("Deletes ended sessions of visitors, and links of sign-in mails with their addresses."),
        _("Addresses of people who did not sign in stay stored."),
        needed=_("Mail addresses of people who never signed in would stay stored."),
        most_apart=timedelta(days=1),
    ),
    Description(
        "oasst.site.schedules.forget_desk_claims",
        _("Forget who held items of the desk"),
        Group.SITE,
        _("Deletes claims of the moderators' desk that ended a day ago."),
        _("The table of claims grows; nothing else changes."),
    ),
    Description(
        "oasst.site.schedules.clean_desk",
        _("Forget acts on many that nobody began"),
        Group.SITE,
        _("Deletes yesterday's previews of acts on many, and counts of queues older than a year."),
        _("Old previews stay stored; they do no harm."),
    ),
    Description(
        "trees.jobs.send_webhooks",
        _("Tell webhooks what happened"),
        Group.SITE,
        _("Sends events to the webhooks of API clients, and tries failed deliveries again."),
        _("Events still go out when they happen, but what failed or was lost is not sent again."),
    ),
    Description(
        "trees.schedules.forget_deliveries",
        _("Forget old deliveries to webhooks"),
        Group.SITE,
        _("Deletes deliveries to webhooks after some weeks."),
        _("The table of deliveries grows."),
    ),
    Description(
        "tasks.schedules.clean_up",
        _("Close expired tasks"),
        Group.COLLECTION,
        _("Closes tasks whose time is over, and deletes drafts and stored answers that nobody needs."),
        _("Work stays held for people who left, and others do not get it."),
    ),
    Description(
        "tasks.schedules.move_trees_on",
        _("Move conversations on that no answer moves"),
        Group.COLLECTION,
        _("Takes the next step of conversations for which time, and not an answer, decides."),
        _("Such conversations stand still."),
    ),
    Description(
        "tasks.schedules.measure_capacity",
        _("Measure what each language can carry"),
        Group.COLLECTION,
        _("Measures how much the people of each language did lately, which decides how many prompts are let in."),
        _("The supply of work no longer follows how many people are there."),
    ),
    Description(
        "trees.schedules.retry_scoring",
        _("Try failed rankings again"),
        Group.COLLECTION,
        _("Tries conversations again whose replies could not be ranked."),
        _("Conversations whose ranking failed stay unfinished until a moderator tries them again."),
    ),
    Description(
        "trees.schedules.learn_reviewers",
        _("Learn how reliable reviewers are"),
        Group.COLLECTION,
        _("Finds gold messages, and estimates how reliable each reviewer is."),
        _("Reviews count as they did at the last estimate."),
        is_long=True,
    ),
    Description(
        "trees.schedules.learn_quality",
        _("Learn what reviewers accept"),
        Group.COLLECTION,
        _("Learns from verdicts which texts reviewers accept."),
        _("Predictions grow old; they only put reviews in order."),
        is_long=True,
    ),
    Description(
        "trees.schedules.propose_hard_prompts",
        _("Propose questions that were answered badly"),
        Group.COLLECTION,
        _("Proposes questions of chats that were answered badly to moderators, as prompts."),
        _("Nothing new is proposed, and what was proposed from deleted chats stays out of sight until the next run."),
        is_long=True,
    ),
    Description(
        "trees.schedules.predict_quality",
        _("Predict what reviewers will say"),
        Group.COLLECTION,
        _("Predicts verdicts for texts that wait, and puts reviews in order."),
        _("New texts are reviewed in the order in which they came."),
    ),
    Description(
        "trees.schedules.find_topics",
        _("Find the topics of prompts"),
        Group.COLLECTION,
        _("Finds what the prompts of each language are about."),
        _("New prompts have no topic."),
        is_long=True,
    ),
    Description(
        "trees.jobs.queue_unread_texts",
        _("Let machines read new texts"),
        Group.COLLECTION,
        _("Queues new texts for the machines that find language, personal data and toxicity."),
        _("Texts are queued when they are written, but failed and lost readings are not tried again."),
    ),
    Description(
        "trees.jobs.find_near_duplicates",
        _("Find messages that say the same"),
        Group.COLLECTION,
        _("Compares new texts with all others."),
        _("Repeated messages are found late, or not at all."),
    ),
    Description(
        "oasst.site.schedules.count_queues",
        _("Count what waits for moderators"),
        Group.COLLECTION,
        _("Counts what came, was settled and waits, for the charts of moderators."),
        _("The charts stop; days that were missed are counted later."),
    ),
    Description(
        "oasst.site.schedules.look_after_purges",
        _("Go on with purges"),
        Group.PEOPLE,
        _("Continues purges that were interrupted, and erases for good what their time to undo is over for."),
        _("Texts of purged people stay stored, and interrupted purges stay half done."),
        needed=_("Texts that were to be erased would stay stored."),
        most_apart=timedelta(days=1),
    ),
    Description(
        "oasst.site.schedules.lift_ended_suspensions",
        _("Lift suspensions that are over"),
        Group.PEOPLE,
        _("Lets people in again whose suspension has ended."),
        _("People whose suspension has ended are let in only when they sign in."),
    ),
    Description(
        "oasst.site.notices.jobs.write_notices",
        _("Tell people what happened"),
        Group.PEOPLE,
        _("Writes people's notices of what became of their work."),
        _("Notices come when something happens; those that were lost wait until it runs."),
    ),
    Description(
        "oasst.site.notices.jobs.tell_levels",
        _("Tell people of new levels"),
        Group.PEOPLE,
        _("Tells people of levels that they reached."),
        _("People hear of new levels when it runs again."),
    ),
    Description(
        "oasst.site.notices.jobs.begin_digests",
        _("Mail what people have not read"),
        Group.PEOPLE,
        _("Sends the mails with unread notices in each person's morning."),
        _("No such mail is sent."),
    ),
    Description(
        "oasst.site.notices.jobs.forget_old_notices",
        _("Delete notices of last year"),
        Group.PEOPLE,
        _("Deletes notices that are older than a year."),
        _("Old notices stay stored and shown."),
    ),
    Description(
        "leaderboard.jobs.count_what_happened",
        _("Count what happened"),
        Group.BOARDS,
        _("Counts points for what people did."),
        _("Points come when something happens; those that were lost wait until it runs."),
    ),
    Description(
        "leaderboard.schedules.move_boards_on",
        _("Let old work leave the boards"),
        Group.BOARDS,
        _("Takes work off the boards of the day, the week and the month when it is too old for them."),
        _("The boards keep showing old work."),
    ),
    Description(
        "leaderboard.schedules.put_boards_in_order",
        _("Put the boards in order"),
        Group.BOARDS,
        _("Writes changed scores to the places of the boards."),
        _("Places follow the scores no longer, and boards become slow."),
    ),
    Description(
        "leaderboard.schedules.refresh_statistics",
        _("Refresh the statistics"),
        Group.BOARDS,
        _("Computes the figures of the statistics pages."),
        _("The statistics pages show the figures of the last run."),
    ),
    Description(
        "inference.schedules.end_overdue",
        _("End overdue answers"),
        Group.CHAT,
        _("Ends answers whose time is over while no engine runs."),
        _("If no engine runs, people wait for answers that cannot come."),
    ),
    Description(
        "inference.schedules.rate_models",
        _("Rate the models of the chat"),
        Group.CHAT,
        _("Makes the boards of models anew from the comparisons that people decided."),
        _("The boards of models stay as they are."),
    ),
    Description(
        "inference.schedules.remove_what_is_due",
        _("Remove deleted chats for good"),
        Group.CHAT,
        _("Removes chats for good 30 days after their deletion, and those of people who left."),
        _("Deleted chats stay stored."),
        needed=_("Chats that people deleted would stay stored."),
        most_apart=timedelta(days=1),
    ),
)
_COMMIT = (
    Description(
        "trees.jobs.moderate_message",
        _("Act on complaints about a message"),
        Group.COMMIT,
        _("Checks whether the complaints about a message are enough to hide it."),
        kept=_("The complaints would not count until the next one comes. Find out why it fails, then try it again."),
    ),
    Description(
        "trees.jobs.follow_standing",
        _("Carry a suspension into conversations"),
        Group.COMMIT,
        _("Takes waiting prompts of a suspended person out, or brings them back."),
        kept=_("The suspension or its end would not reach their conversations. Find out why it fails, then try again."),
        is_personal=True,
    ),
    Description(
        "trees.jobs.run_policy",
        _("Apply rules to running trees"),
        Group.COMMIT,
        _("Looks what rules would change in running trees, or changes it."),
        kept=_("The run would stay unfinished. Stop it on the page of the parameters, or try this job again."),
    ),
    Description(
        "trees.jobs.read_texts",
        _("Read texts by machine"),
        Group.COMMIT,
        _("Lets one kind of reader read the texts that wait for it."),
        loss=_FOUND_AGAIN,
        is_personal=True,
    ),
    Description(
        "trees.moderation.notices.mail_author",
        _("Mail an author about complaints"),
        Group.COMMIT,
        _("Mails an author what became of complaints about their message."),
        loss=_("The author gets no mail; the notice on the site stays."),
        is_personal=True,
    ),
    Description(
        "trees.moderation.notices.mail_about_withdrawal",
        _("Mail an author about a withdrawal"),
        Group.COMMIT,
        _("Mails an author the decision about a text that they withdrew."),
        loss=_("The author gets no mail; the notice on the site stays."),
        is_personal=True,
    ),
    Description(
        "oasst.accounts.jobs.mail_about_ban",
        _("Mail a suspended person"),
        Group.COMMIT,
        _("Mails a suspended person why, until when, and how to appeal."),
        loss=_("They get no mail; they read the same when they sign in."),
        is_personal=True,
    ),
    Description(
        "oasst.accounts.jobs.mail_about_appeal",
        _("Mail the answer to an appeal"),
        Group.COMMIT,
        _("Mails a person the answer to their appeal."),
        loss=_("They get no mail; they read the answer when they sign in."),
        is_personal=True,
    ),
    Description(
        "oasst.accounts.jobs.mark_alike",
        _("Tell names apart that look alike"),
        Group.COMMIT,
        _("Shows the program beside names that look alike."),
        kept=_("People could be taken for each other. Find out why it fails, then try it again."),
        is_personal=True,
    ),
    Description(
        "oasst.site.purging.go_on_with_purge",
        _("Go on with a purge"),
        Group.COMMIT,
        _("Takes out what a person gave, or brings it back, a minute at a time."),
        loss=_FOUND_AGAIN,
        is_personal=True,
    ),
    Description(
        "oasst.site.forgetting.forget_words_of",
        _("Erase what was written about a person"),
        Group.COMMIT,
        _("Empties what moderators wrote about a person whose account was closed."),
        kept=_("Words about somebody who left would stay stored. Find out why it fails, then try it again."),
        is_personal=True,
    ),
    Description(
        "oasst.site.bulk.running.go_on_with_bulk_act",
        _("Go on with an act on many"),
        Group.COMMIT,
        _("Does or undoes an act on many, row by row."),
        kept=_("The act would stay half done. Whoever began it can stop it on its page; then this run ends by itself."),
        is_personal=True,
    ),
    Description(
        "oasst.site.notices.exports.tell_of_snapshot",
        _("Tell authors of a snapshot"),
        Group.COMMIT,
        _("Tells everybody whose texts a published snapshot has."),
        kept=_("Authors would not hear that their texts were published. Find out why it fails, then try it again."),
        is_long=True,
        is_personal=True,
    ),
    Description(
        "oasst.site.notices.digests.mail_digest",
        _("Mail a person what they have not read"),
        Group.COMMIT,
        _("Mails one person their unread notices."),
        loss=_FOUND_AGAIN,
        is_personal=True,
    ),
    Description(
        "oasst.site.notices.jobs.forget_person",
        _("Delete the notices of a closed account"),
        Group.COMMIT,
        _("Deletes the notices of somebody who closed their account."),
        kept=_("Notices of somebody who left would stay stored. Find out why it fails, then try it again."),
        is_personal=True,
    ),
    Description(
        "oasst.site.notices.jobs.tell_of_warning",
        _("Tell a person of a warning"),
        Group.COMMIT,
        _("Tells a person of a warning, or that it was taken back."),
        kept=_("The person would not hear of it. Find out why it fails, then try it again."),
        is_personal=True,
    ),
    Description(
        "oasst.site.notices.jobs.tell_of_appeal",
        _("Tell a person the answer to an appeal"),
        Group.COMMIT,
        _("Tells a person the answer to their appeal against a decision."),
        kept=_("The person would not hear the answer. Find out why it fails, then try it again."),
        is_personal=True,
    ),
)
_OF_CELERY = Description(
    "celery.backend_cleanup",
    _("Delete old results of jobs"),
    Group.OTHER,
    _("Beat brings it along. This site stores no results of jobs, so it finds nothing."),
    _("Nothing changes."),
)
DESCRIPTIONS = {one.job: one for one in (*_CLOCK, *_COMMIT, _OF_CELERY)}


def is_known(job: str) -> bool:
    """Return True if this release has the job, maybe under another name."""
    return settings.MOVED_JOBS.get(job, job) in DESCRIPTIONS


def describe(job: str) -> Description:
    """Return what is known of a job. Of one without an entry here, such as of a former release, only its name."""
    unknown = Description(
        job, job, Group.OTHER, _("This release does not know this job."), loss=_("Nothing: no program can run it.")
    )
    return DESCRIPTIONS.get(settings.MOVED_JOBS.get(job, job), unknown)
