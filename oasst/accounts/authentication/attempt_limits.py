"""Limits for requesting mails and for trying passwords and codes.

Attempts count per address and account together, so that strangers cannot use up somebody's attempts. All addresses
together have a much higher limit. A browser in which the owner signed in before has its own counters instead
(`known_devices`). All spellings of a mailbox count as one, because mails to victim+1, victim+2 reach the same person.
"""

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from oasst.accounts.authentication.known_devices import known_device
from oasst.accounts.email_addresses import normalize_mailbox
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import Remaining, count_use, remaining


def count_mail(request: HttpRequest, email: str) -> None:
    """Count a mail that is requested to the address. Raise Busy `rate_limited`."""
    if device := known_device(request, email):
        count_use(ratelimit.SIGN_IN_CODES_ON_KNOWN_DEVICE, device)
        return
    requester = client_address(request)
    count_use(ratelimit.SIGN_IN_CODES_FROM_ADDRESS, requester)
    count_use(ratelimit.SIGN_IN_CODES_TO_MAILBOX, requester, normalize_mailbox(email))
    count_use(ratelimit.SIGN_IN_CODES_TO_MAILBOX_IN_ALL, normalize_mailbox(email))


def count_password(request: HttpRequest, email: str) -> None:
    """Count a password attempt for the account. Raise Busy `rate_limited`.

    The right password counts too, otherwise an attacker could reset the counter with it.
    """
    if device := known_device(request, email):
        count_use(ratelimit.PASSWORDS_ON_KNOWN_DEVICE, device)
        return
    requester, account = client_address(request), _account(request, email)
    count_use(ratelimit.PASSWORDS_FROM_ADDRESS, requester)
    count_use(ratelimit.PASSWORDS_FOR_ACCOUNT, requester, account)
    count_use(ratelimit.PASSWORDS_FOR_ACCOUNT_IN_ALL, account)


def passwords_left(request: HttpRequest, email: str) -> Remaining | None:
    """Return the remaining password attempts for the account, or None if they are not counted."""
    if device := known_device(request, email):
        return remaining(ratelimit.PASSWORDS_ON_KNOWN_DEVICE, device)
    requester, account = client_address(request), _account(request, email)
    return _fewest(
        remaining(ratelimit.PASSWORDS_FOR_ACCOUNT, requester, account),
        remaining(ratelimit.PASSWORDS_FOR_ACCOUNT_IN_ALL, account),
        remaining(ratelimit.PASSWORDS_FROM_ADDRESS, requester),
    )


def count_code(request: HttpRequest, email: str, code: str | None) -> None:
    """Count an attempt to enter a code. `code` is the right one. Raise Busy `rate_limited`.

    The counter in the session does not stop concurrent attempts.
    """
    if device := known_device(request, email):
        count_use(ratelimit.CODES_ON_KNOWN_DEVICE, device)
    else:
        count_use(ratelimit.CODES_FROM_ADDRESS, client_address(request))
    if code:  # keyed, because a plain hash of such a short code could be reversed
        count_use(ratelimit.TRIES_OF_ONE_CODE, salted_hmac("oasst.tries", f"{email} {code}").hexdigest())


def count_second_factor(request: HttpRequest, user: User) -> None:
    """Count an attempt of the second factor, even the right one. Raise Busy `rate_limited`.

    A known browser has its own counter, so that a thief of the password cannot use up the owner's attempts.
    """
    if device := known_device(request, user.email or ""):
        count_use(ratelimit.SECOND_FACTORS_ON_KNOWN_DEVICE, device)
        return
    count_use(ratelimit.CODES_FROM_ADDRESS, client_address(request))
    count_use(ratelimit.SECOND_FACTORS_FOR_ACCOUNT, user.pk)


def second_factors_left(request: HttpRequest, user: User) -> Remaining | None:
    """Return the remaining attempts of the second factor, or None if they are not counted."""
    if device := known_device(request, user.email or ""):
        return remaining(ratelimit.SECOND_FACTORS_ON_KNOWN_DEVICE, device)
    return _fewest(
        remaining(ratelimit.SECOND_FACTORS_FOR_ACCOUNT, user.pk),
        remaining(ratelimit.CODES_FROM_ADDRESS, client_address(request)),
    )


def _fewest(*limits: Remaining | None) -> Remaining | None:
    return min((limit for limit in limits if limit), key=lambda limit: limit.uses, default=None)


def _account(request: HttpRequest, email: str) -> str:
    """Return the key to count by; for a user without an address, who can only reauthenticate, their id."""
    if email:
        return normalize_mailbox(email)
    return str(request.user.pk) if request.user.is_authenticated else ""
