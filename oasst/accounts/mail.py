"""The mail backend of a site without EMAIL_URL."""

from collections.abc import Sequence

import structlog
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

log = structlog.get_logger(__name__)


class LogBackend(BaseEmailBackend):
    """Logs that a mail was not sent, without subject and text, which contain codes and keys."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            log.warning("mail_not_sent", to=message.to, hint="EMAIL_URL is not set")
        return 0
