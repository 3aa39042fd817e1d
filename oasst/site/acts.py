"""What staff and trusted programs do that touches several apps, as the audit log names it."""

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register

PURGE = register("account.purge", _("purged what a person gave"))
PROPOSE_PURGE = register("purge.propose", _("proposed to purge a person"))
WITHDRAW_PURGE = register("purge.withdraw_proposal", _("withdrew a proposal to purge a person"))
REFUSE_PURGE = register("purge.refuse_proposal", _("refused a proposal to purge a person"))
PURGE_ALONE = register("purge.alone", _("purged a person alone, because nobody else could confirm it"))
PROPOSE_MERGE = register("merge.propose", _("proposed to merge accounts of one person"))
WITHDRAW_MERGE = register("merge.withdraw_proposal", _("withdrew a proposal to merge accounts"))
REFUSE_MERGE = register("merge.refuse_proposal", _("refused a proposal to merge accounts"))
CONFIRM_MERGE = register("merge.confirm", _("confirmed a proposal to merge accounts"))
MERGE_ALONE = register("merge.alone", _("merged accounts alone, because nobody else could confirm it"))
UNDO_PURGE = register("account.undo_purge", _("began to undo a purge"))
PURGE_UNDONE = register("account.purge_undone", _("gave back all that a purge had taken"))
ERASE_PURGED = register("account.erase_purged", _("erased the texts that a purge had taken"))
DELETE_MESSAGES = register("account.delete_messages", _("removed the messages of a person"))
CHANGE_SCHEDULE = register("schedule.change", _("changed when a job runs"))
RUN_JOB = register("job.run", _("let a job run at once"))
RETRY_JOB = register("job.retry", _("sent a waiting job again"))
GIVE_UP_JOB = register("job.give_up", _("gave up a waiting job"))
REPAIR = register("data.repair", _("repaired stored data"))
EXPORT_LOG = register("audit.export", _("exported this log"))
PASS_ON = register("desk.pass_on", _("passed this on to the administrators"))
ANSWER_PASSED_ON = register("desk.answer", _("answered what was passed on to the administrators"))
FORMER_LOG = register("admin.act", _("acted in the admin"))
"""What the log of Django's admin had before this log; the reason says what was done."""
