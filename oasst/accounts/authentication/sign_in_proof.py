"""Ask for a proof of work before a code is mailed, when many codes are asked for from one address.

Anybody can let us mail anybody. The first mails from an address are free; then each costs some computation in the
browser or, where it cannot compute (no script, or no https), a minute of waiting. `attempt_limits` still applies.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from oasst.accounts.authentication.known_devices import known_device
from oasst.accounts.site_settings.reading import current
from oasst.core import proof_of_work
from oasst.core.errors import Busy
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import SIGN_IN_CODES_WITHOUT_PROOF, count_use, refuse_if_used_up

PURPOSE = "sign_in_code"
SOLUTION, TICKET = "altcha", "waiting_ticket"
"""Names of the form fields."""


@dataclass(frozen=True)
class Demand:
    """What the form needs: a solution of `challenge`, or `ticket` after `seconds`."""

    challenge: dict[str, Any]
    ticket: str
    seconds: int


def _mode() -> str:
    """Return `off`, `auto` or `always`: what the deployment chose, unless an administrator switched it off."""
    return str(settings.SIGN_IN_PROOF) if current().sign_in_proof else "off"


def has_proof(request: HttpRequest, email: str) -> bool:
    """Return True if a code may be mailed: it is free, or proved, or the owner of the address signed in here before."""
    if _mode() == "off" or known_device(request, email):
        return True
    if proof_of_work.is_solved(PURPOSE, request.POST.get(SOLUTION, "")):
        return True
    if proof_of_work.use_ticket(PURPOSE, request.POST.get(TICKET, ""), client_address(request)):
        return True
    if _mode() == "always":
        return False
    try:
        count_use(SIGN_IN_CODES_WITHOUT_PROOF, client_address(request))
    except Busy:
        return False
    return True


def next_demand(request: HttpRequest) -> Demand | None:
    """Return what the form needs if the next code from this address is not free. Counts nothing."""
    if _mode() == "off" or not settings.SENDS_MAIL:
        return None
    if _mode() == "auto":
        try:
            refuse_if_used_up(SIGN_IN_CODES_WITHOUT_PROOF, client_address(request))
        except Busy:
            pass
        else:
            return None
    return demand(request)


def demand(request: HttpRequest) -> Demand:
    """Return what the form needs. A ticket that was sent and is not used up stays, so that its wait goes on."""
    ticket, address = request.POST.get(TICKET, ""), client_address(request)
    seconds = proof_of_work.seconds_to_wait(PURPOSE, ticket, address)
    if seconds is None:
        ticket, seconds = proof_of_work.waiting_ticket(PURPOSE, address), proof_of_work.WAIT
    return Demand(proof_of_work.new_challenge(PURPOSE), ticket, seconds)
