"""The acts of moderators on messages and conversations, as the audit log names them."""

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register

HALT = register("tree.halt", _("stopped a conversation"))
RESUME = register("tree.resume", _("let a conversation go on"))
RETRY_SCORING = register("tree.retry_scoring", _("had the answers of a conversation put in order again"))
DELETE = register("message.delete", _("removed a message and all below it"))
DELETE_SOME = register("message.delete_some", _("removed messages of a conversation and all below them"))
UNDELETE = register("message.undelete", _("brought a removed message back"))
EDIT = register("message.edit", _("changed the text of a message"))
UPHOLD = register("proposal.uphold", _("removed a message that many complained about"))
DISMISS = register("proposal.dismiss", _("kept a message that many complained about"))
GRANT = register("withdrawal.grant", _("granted the withdrawal of a message"))
REFUSE = register("withdrawal.refuse", _("refused the withdrawal of a message"))
KEEP = register("message.keep", _("decided that a message stays"))
HIDE = register("message.hide", _("hid a message"))
MOVE = register("tree.move", _("moved a conversation to another language"))
SETTLE = register("report.settle", _("answered a report"))
MASK = register("message.mask", _("masked personal data in a message"))
UNDO = register("act.undo", _("undid an act"))

UNDOABLE = frozenset(
    act.name
    for act in (
        *(HALT, RESUME, RETRY_SCORING, DELETE, UNDELETE, EDIT, KEEP, HIDE, MOVE),
        *(UPHOLD, DISMISS, GRANT, REFUSE, SETTLE, MASK),
    )
)
"""Acts on a tree that `moderator_actions.undo` undoes."""
