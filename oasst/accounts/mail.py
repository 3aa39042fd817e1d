"""Mail of a site that has no mail server yet: it goes to the log, and a sign-in code may stand on the page."""

from collections.abc import Sequence

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.http import HttpRequest

from oasst.core.requests import is_on_this_machine

log = structlog.get_logger(__name__)


class LogBackend(BaseEmailBackend):
    """Whoever reads the log of a new installation finds the code there."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            log.info("mail", to=message.to, subject=message.subject, body=message.body)
        return len(email_messages)


def may_show_code(request: HttpRequest) -> bool:
    """Only where no mail is sent, to somebody who sits at this very machine and asks for it by a loopback name.

    Anybody else who could read the code from the page could sign in as anybody. Never on a public site: a proxy in its
    plainest configuration says localhost itself and adds no header that would give it away.
    """
    return settings.IS_LOCAL and not settings.SENDS_MAIL and is_on_this_machine(request)
