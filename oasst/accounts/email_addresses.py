"""E-mail addresses: which are taken, and which of them are one mailbox."""

import unicodedata
from contextlib import suppress

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from oasst.core.errors import Invalid

# One mailbox under two names.
_GOOGLE = ("gmail.com", "googlemail.com")
# Controls, marks of direction, fillers and blanks: two addresses that look the same would be two people.
_UNSEEN = "CZ"
NO_ADDRESS = "This is not an e-mail address."
LONGEST = 254
"""Characters: as many as a mail server takes, and as the columns hold."""
TOO_LONG = f"This address is too long. The longest that mail servers take has {LONGEST} characters."
UNUSUAL = "Addresses with quotation marks or with a number in brackets are not taken. Please write name@example.org."


def refusal(email: str) -> str | None:
    """Why this address is not taken, in words for whoever typed it; None if it is.

    A quoted name reaches the same mailbox as the plain one and compares as another, and a host in brackets belongs to
    no domain: both are ways around a ban and a limit, and no way that people write.
    """
    if len(email) > LONGEST:
        return TOO_LONG
    try:
        validate_email(email)
        email.rpartition("@")[2].encode("idna")  # as the mail needs it; Django takes hosts that have no such form
    except (ValidationError, UnicodeError):
        return NO_ADDRESS
    if any(unicodedata.category(sign)[0] in _UNSEEN for sign in email):
        return NO_ADDRESS
    return UNUSUAL if any(sign in email for sign in '"[]\\') else None


def mailbox(email: str) -> str:
    """What stands for this mailbox: other letters, dots of Gmail and +tags make no other person of somebody.

    Only for comparing. Mail goes to the address as it was written.
    """
    local, _, domain = unicodedata.normalize("NFKC", email).strip().casefold().rpartition("@")
    with suppress(UnicodeError):  # no name of a host; compared as it is
        domain = domain.encode("idna").decode()
    local = local.partition("+")[0] or local
    if domain in _GOOGLE:
        local, domain = local.replace(".", ""), _GOOGLE[0]
    return f"{local}@{domain}"


def clean_email(value: str) -> str:
    """In the lower case in which addresses are stored. Raises Invalid `email`."""
    address = value.strip().lower()
    if reason := refusal(address):
        raise Invalid(reason, code="email", field="email")
    return address
