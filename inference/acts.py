"""What staff do to chats and models, as the audit log names it."""

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register

EVALUATE_MODEL = register("model.evaluate", _("evaluated a model"))
REGISTER_MODEL = register("model.register", _("added a model"))
STAGE_MODEL = register("model.stage", _("changed who may choose a model"))
ROLL_BACK_MODEL = register("model.roll_back", _("took back the last change of who may choose a model"))
SETTLE_REPORT = register("chat_report.settle", _("answered a report of a chat"))
ASK_TRAINING = register("training.ask", _("asked for a training"))
STOP_TRAINING = register("training.stop", _("stopped a training"))
RESUME_TRAINING = register("training.resume", _("let a training go on"))
