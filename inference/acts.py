"""What staff do to chats and models, as the audit log names it."""

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register

SETTLE_REPORT = register("chat_report.settle", _("answered a report of a chat"))
