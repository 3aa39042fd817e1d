"""Proof of work for forms that anybody may send: the protocol of ALTCHA (https://altcha.org), and no other service.

The server names a hash, and the browser searches the number that was hashed. That costs a person a second of waiting,
and whoever sends thousands of forms much more. The challenge is signed, so the server keeps nothing until it is solved.

Where the browser cannot compute, a `waiting_ticket` does instead: it is valid only some time after it was given, for
the network address that asked for it. Each address can use one in that time, however many it collected.
"""

import math
import time
from datetime import timedelta
from typing import Any

from altcha.v1 import ChallengeOptions, Payload, create_challenge, verify_solution
from django.core import signing
from django.core.cache import cache
from django.utils import timezone
from django.utils.crypto import salted_hmac

from oasst.core.ids import uuid7

LIFETIME = 20 * 60
"""Seconds in which a solution or a ticket can be used, once."""
MAX_NUMBER = 50_000
"""Hashes at most; half of them on average."""
WAIT = 60
"""Seconds until a waiting ticket is valid, and from one ticket of an address to the next."""
MAX_LENGTH = 2000
_SALT = "oasst.proof_of_work"
_TICKET_SALT = "oasst.waiting_ticket"


def new_challenge(purpose: str) -> dict[str, Any]:
    """Return a challenge for static/js/proof.js. `purpose` names the form: a solution is good for no other one."""
    expires = timezone.now() + timedelta(seconds=LIFETIME)
    options = ChallengeOptions(max_number=MAX_NUMBER, hmac_key=_key(), expires=expires, params={"purpose": purpose})
    challenge = create_challenge(options)
    found: dict[str, Any] = challenge.to_dict()
    return found


def is_solved(purpose: str, encoded: str) -> bool:
    """Return True for a right solution of a challenge of this purpose that is not too old, and use it up."""
    if not encoded or len(encoded) > MAX_LENGTH:
        return False
    try:
        payload = Payload.from_base64(encoded)
        is_right, _ = verify_solution(payload, _key(), check_expires=True)
        params = payload.parse_salt()[2]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # anything may be sent
        return False
    return is_right and params.get("purpose") == [purpose] and _use_up(payload.signature)


def waiting_ticket(purpose: str, address: str) -> str:
    """Return a ticket that is valid once, `WAIT` seconds from now, for this address."""
    return signing.dumps([purpose, _hash(address), time.time() + WAIT, str(uuid7())], salt=_TICKET_SALT)


def seconds_to_wait(purpose: str, ticket: str, address: str) -> int | None:
    """Return the seconds until this ticket is valid, 0 for now.

    None if it is none, is too old, was used, or is of another address.
    """
    found = _read_ticket(purpose, ticket, address)
    if found is None:
        return None
    valid_at, name = found
    if cache.get(_used_key(name)):
        return None
    free_at = cache.get(_turn_key(purpose, address)) or 0
    return max(0, math.ceil(max(valid_at, free_at) - time.time()))


def use_ticket(purpose: str, ticket: str, address: str) -> bool:
    """Return True for a ticket that is valid now, and use it up, and with it the turn of its address."""
    found = _read_ticket(purpose, ticket, address)
    if found is None or found[0] > time.time() or cache.get(_used_key(found[1])):
        return False
    # The address first: of several tickets at once, those that come too late stay good.
    return _take_turn(purpose, address) and _use_up(found[1])


def _take_turn(purpose: str, address: str) -> bool:
    """Return False if the address used a ticket less than `WAIT` seconds ago. Without Redis nothing is refused."""
    return cache.add(_turn_key(purpose, address), time.time() + WAIT, timeout=WAIT) is not False


def _read_ticket(purpose: str, ticket: str, address: str) -> tuple[float, str] | None:
    """Return since when the ticket is valid, and its name."""
    if not ticket or len(ticket) > MAX_LENGTH:
        return None
    try:
        stored, owner, valid_at, name = signing.loads(ticket, salt=_TICKET_SALT, max_age=WAIT + LIFETIME)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return (float(valid_at), str(name)) if (stored, owner) == (purpose, _hash(address)) else None


def _use_up(name: str) -> bool:
    """Return False if it was used before. Without Redis nothing is refused, as with rate limits."""
    return cache.add(_used_key(name), 1, timeout=2 * LIFETIME) is not False


def _used_key(name: str) -> str:
    return f"proof-used:{name}"


def _turn_key(purpose: str, address: str) -> str:
    return f"proof-turn:{purpose}:{_hash(address)}"


def _hash(address: str) -> str:
    """Return what stands for an address, so that neither the page nor Redis has it."""
    return salted_hmac(_TICKET_SALT, address, algorithm="sha256").hexdigest()[:32]


def _key() -> str:
    return salted_hmac(_SALT, "key", algorithm="sha256").hexdigest()
