"""What pages and the history call each setting of the site."""

from typing import Any

from django.utils.translation import gettext_lazy as _

LABELS: dict[str, Any] = {
    "announcement": _("Announcement"),
    "announcement_url": _("Link of the announcement"),
    "announcement_until": _("Announcement shown until"),
    "maintenance": _("Maintenance"),
    "maintenance_message": _("Words of the maintenance"),
    "maintenance_until": _("Expected end of the maintenance"),
    "ended": _("The project has ended"),
    "ended_message": _("What the closing page says"),
    "sign_up": _("New accounts"),
    "email_codes": _("Sign-in by mailed code"),
    "sign_in_proof": _("Computation before mailed codes"),
    "chat": _("Chat"),
    "chat_drafts": _("Several answers to a question"),
}
