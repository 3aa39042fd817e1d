"""How often somebody may have mails sent and try passwords and codes.

A stranger must not be able to use up somebody's tries, so they count by requester and account together. What all
requesters may do together is bounded too, far higher. A browser in which the owner signed in before passes the shared
counters and has its own (`known_devices`). All spellings of a mailbox count as one: mails to victim+1, victim+2 and
so on come to one person.
"""

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from oasst.accounts.authentication.known_devices import known_device
from oasst.accounts.email_addresses import mailbox
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import Remaining, remaining, spend


def count_mail(request: HttpRequest, email: str) -> None:
    """One more mail that this request has sent to the address. Raises Busy `rate_limited`."""
    if device := known_device(request, email):
        spend(ratelimit.SIGN_IN_CODES_ON_KNOWN_DEVICE, device)
        return
    here = client_address(request)
    spend(ratelimit.SIGN_IN_CODES_FROM_ADDRESS, here)
    spend(ratelimit.SIGN_IN_CODES_TO_MAILBOX, here, mailbox(email))
    spend(ratelimit.SIGN_IN_CODES_TO_MAILBOX_IN_ALL, mailbox(email))


def count_password(request: HttpRequest, email: str) -> None:
    """One more password that is tried for the account; also the right one counts, since forgetting it would let a
    guesser reset the count. Raises Busy `rate_limited`.
    """
    if device := known_device(request, email):
        spend(ratelimit.PASSWORDS_ON_KNOWN_DEVICE, device)
        return
    here, account = client_address(request), _account(request, email)
    spend(ratelimit.PASSWORDS_FROM_ADDRESS, here)
    spend(ratelimit.PASSWORDS_FOR_ACCOUNT, here, account)
    spend(ratelimit.PASSWORDS_FOR_ACCOUNT_IN_ALL, account)


def passwords_left(request: HttpRequest, email: str) -> Remaining | None:
    """How many more passwords this requester may try for the account; None where nobody counts."""
    if device := known_device(request, email):
        return remaining(ratelimit.PASSWORDS_ON_KNOWN_DEVICE, device)
    here, account = client_address(request), _account(request, email)
    return _fewest(
        remaining(ratelimit.PASSWORDS_FOR_ACCOUNT, here, account),
        remaining(ratelimit.PASSWORDS_FOR_ACCOUNT_IN_ALL, account),
        remaining(ratelimit.PASSWORDS_FROM_ADDRESS, here),
    )


def count_code(request: HttpRequest, email: str, code: str | None) -> None:
    """One more code that is typed in, where `code` would be the right one. The session counts the tries of each code as
    well, but not those that come at once. Raises Busy `rate_limited`.
    """
    if device := known_device(request, email):
        spend(ratelimit.CODES_ON_KNOWN_DEVICE, device)
    else:
        spend(ratelimit.CODES_FROM_ADDRESS, client_address(request))
    if code:  # so short that a plain hash of it would tell it
        spend(ratelimit.TRIES_OF_ONE_CODE, salted_hmac("oasst.tries", f"{email} {code}").hexdigest())


def count_second_factor(request: HttpRequest, user: User) -> None:
    """One more code of the second factor; also the right one counts. Whoever has somebody's password must not use up
    the owner's tries, so a browser that signed in before has its own. Raises Busy `rate_limited`.
    """
    if device := known_device(request, user.email or ""):
        spend(ratelimit.SECOND_FACTORS_ON_KNOWN_DEVICE, device)
        return
    spend(ratelimit.CODES_FROM_ADDRESS, client_address(request))
    spend(ratelimit.SECOND_FACTORS_FOR_ACCOUNT, user.pk)


def second_factors_left(request: HttpRequest, user: User) -> Remaining | None:
    """How many more codes of the second factor this requester may try; None where nobody counts."""
    if device := known_device(request, user.email or ""):
        return remaining(ratelimit.SECOND_FACTORS_ON_KNOWN_DEVICE, device)
    return _fewest(
        remaining(ratelimit.SECOND_FACTORS_FOR_ACCOUNT, user.pk),
        remaining(ratelimit.CODES_FROM_ADDRESS, client_address(request)),
    )


def _fewest(*counted: Remaining | None) -> Remaining | None:
    return min((one for one in counted if one), key=lambda one: one.uses, default=None)


def _account(request: HttpRequest, email: str) -> str:
    """What tries for an account are counted by; also for who has no address and proves once more who they are."""
    if email:
        return mailbox(email)
    return str(request.user.pk) if request.user.is_authenticated else ""
