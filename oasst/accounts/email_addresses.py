"""Email addresses: which ones are accepted, and which ones are the same mailbox."""

import unicodedata
from contextlib import suppress

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from oasst.core.errors import Invalid

# Two names of the same mail service.
_GOOGLE = ("gmail.com", "googlemail.com")
# Unicode categories of invisible characters, with which different addresses could look the same.
_INVISIBLE = "CZ"
NO_ADDRESS = "This is not an e-mail address."
MAX_LENGTH = 254
"""Characters: the limit of mail servers and of the columns."""
TOO_LONG = f"This address is too long. The longest that mail servers take has {MAX_LENGTH} characters."
UNUSUAL = "Addresses with quotation marks or with a number in brackets are not taken. Please write name@example.org."


def why_refused(email: str) -> str | None:
    """Return why this address is not accepted, as a message for the user, or None if it is.

    Quoted names and hosts in brackets are refused, because they are further spellings of the same mailbox, with which
    people could evade bans and limits.
    """
    if len(email) > MAX_LENGTH:
        return TOO_LONG
    try:
        validate_email(email)
        email.rpartition("@")[2].encode("idna")  # mail needs IDNA, but Django accepts hosts without one
    except (ValidationError, UnicodeError):
        return NO_ADDRESS
    if any(unicodedata.category(character)[0] in _INVISIBLE for character in email):
        return NO_ADDRESS
    return UNUSUAL if any(character in email for character in '"[]\\') else None


def normalize_mailbox(email: str) -> str:
    """Normalize an address, only for comparing: ignore case, Unicode variants, dots at Gmail, and +tags."""
    local, _, domain = unicodedata.normalize("NFKC", email).strip().casefold().rpartition("@")
    with suppress(UnicodeError):  # not a valid host, so compared unchanged
        domain = domain.encode("idna").decode()
    local = local.partition("+")[0] or local
    if domain in _GOOGLE:
        local, domain = local.replace(".", ""), _GOOGLE[0]
    return f"{local}@{domain}"


def clean_email(value: str) -> str:
    """Return the address in lower case, as it is stored. Raise Invalid `email`."""
    address = value.strip().lower()
    if reason := why_refused(address):
        raise Invalid(reason, code="email", field="email")
    return address
