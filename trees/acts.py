"""What staff, operators and trusted programs do to texts, data and webhooks, as the audit log names it.

`trees.moderation.acts` has the acts on messages and conversations.
"""

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register

MARK_GOLD = register("gold.mark", _("made a message gold"))
END_GOLD = register("gold.end", _("ended a gold message"))
CHOOSE_PRACTICE = register("practice.choose", _("chose a message for practice"))
EXPLAIN_PRACTICE = register("practice.explain", _("changed an explanation of practice"))
END_PRACTICE = register("practice.end", _("ended a message of practice"))
DECIDE_PAIR = register("pair.decide", _("decided about two messages that say nearly the same"))
KEEP_PERSONAL_DATA = register("personal_data.keep", _("let a text with possible personal data stay"))
CREATE_WEBHOOK = register("webhook.create", _("made a webhook"))
SWITCH_WEBHOOK = register("webhook.switch", _("switched a webhook"))
RENEW_WEBHOOK = register("webhook.renew", _("made a new secret of a webhook"))
DELETE_WEBHOOK = register("webhook.delete", _("deleted a webhook"))
FREEZE_SNAPSHOT = register("snapshot.freeze", _("froze a snapshot of the data set"))
PUBLISH_SNAPSHOT = register("snapshot.publish", _("published a snapshot of the data set"))
UNPUBLISH_SNAPSHOT = register("snapshot.unpublish", _("took a snapshot of the data set back"))
RETRACT_SNAPSHOT = register("snapshot.retract", _("retracted a snapshot of the data set"))
DRAFT_POLICY = register("policy.draft", _("drafted other parameters"))
DISCARD_POLICY = register("policy.discard", _("discarded a draft of the parameters"))
CHANGE_POLICY = register("policy.change", _("put other parameters in force"))
PREVIEW_POLICY = register("policy.preview", _("began a preview of other parameters"))
STOP_POLICY_RUN = register("policy.stop", _("stopped a run over the conversations"))
APPLY_POLICY = register("policy.apply", _("applied the policy to running conversations"))
RERANK = register("tree.rerank", _("computed the ranks of conversations again"))
TAKE_HARD_PROMPT = register("hard_prompt.take", _("took a question from a chat as a prompt"))
REFUSE_HARD_PROMPT = register("hard_prompt.refuse", _("kept a question from a chat out of the data set"))
IMPORT = register("data.import", _("imported conversations"))
