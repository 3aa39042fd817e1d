"""The proof of work of a form: right, of this form, once, and not too old; and the ticket that does instead."""

import base64
import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from altcha.v1 import Payload, create_challenge, solve_challenge
from django.core.cache import cache
from django.utils import timezone

from oasst.core import proof_of_work
from oasst.core.proof_of_work import is_solved, new_challenge, seconds_to_wait, use_ticket, waiting_ticket
from tests.concurrency.together import at_once


@pytest.fixture(autouse=True)
def _easy(monkeypatch: Any) -> None:
    monkeypatch.setattr(proof_of_work, "MAX_NUMBER", 50)


def solve(challenge: dict[str, Any], **changes: Any) -> str:
    """Return what static/js/proof.js sends."""
    solution = solve_challenge(challenge["challenge"], challenge["salt"], max_number=50)
    assert solution
    payload = {key: challenge[key] for key in ("algorithm", "challenge", "salt", "signature")}
    return encode({**payload, "number": solution.number, **changes})


def encode(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


class TestSolutions:
    def test_a_right_one_is_good_once(self) -> None:
        solution = solve(new_challenge("form"))
        assert [is_solved("form", solution) for _ in range(2)] == [True, False]

    def test_written_otherwise_it_is_the_same_one(self) -> None:
        challenge = new_challenge("form")
        solution = solve(challenge)
        number = str(json.loads(base64.b64decode(solution))["number"])
        assert is_solved("form", solution)
        assert not is_solved("form", solve(challenge, number=number))
        assert not is_solved("form", solve(challenge, salt=challenge["salt"].rstrip("&")))

    def test_it_belongs_to_its_form(self) -> None:
        challenge = new_challenge("form")
        assert not is_solved("other", solve(challenge))
        assert not is_solved("other", solve(challenge, salt=challenge["salt"].replace("form", "other")))

    def test_it_expires(self) -> None:
        expired = create_challenge(
            max_number=50,
            hmac_key=proof_of_work._key(),
            expires=timezone.now() - timedelta(seconds=1),
            params={"purpose": "form"},
        )
        assert not is_solved("form", solve(expired.to_dict()))

    def test_only_ours(self) -> None:
        foreign = create_challenge(max_number=50, hmac_key="another key", params={"purpose": "form"})
        assert not is_solved("form", solve(foreign.to_dict()))
        assert not is_solved("form", solve(new_challenge("form"), number=-1))

    @pytest.mark.parametrize(
        "sent",
        [
            *("", "x", "äöü", encode([]), encode({}), encode(None), encode({"algorithm": "MD5"}), "A" * 5000),
            encode(dict.fromkeys(("algorithm", "challenge", "number", "salt", "signature"), 1)),
            encode(dict.fromkeys(("algorithm", "challenge", "number", "salt", "signature"), "SHA-256")),
            base64.b64encode(b"[" * 1400).decode(),
            base64.b64encode(b"\xff\xfe").decode(),
        ],
    )
    def test_anything_else_is_none(self, sent: str) -> None:
        assert not is_solved("form", sent)

    def test_an_emptied_redis_refuses_nobody(self, monkeypatch: Any) -> None:
        solution = solve(new_challenge("form"))
        monkeypatch.setattr(cache, "add", lambda *args, **kwargs: None)  # as django-redis answers without Redis
        assert is_solved("form", solution)

    def test_the_payload_has_the_form_of_the_protocol(self) -> None:
        challenge = new_challenge("form")
        assert set(challenge) == {"algorithm", "challenge", "maxNumber", "salt", "signature"}
        assert Payload.from_base64(solve(challenge)).parse_salt()[2]["purpose"] == ["form"]


HERE, THERE = "192.0.2.1", "192.0.2.2"


def ripe_ticket(form: str = "form", address: str = HERE) -> str:
    """Return a ticket whose wait is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof_of_work, "WAIT", 0)
        return waiting_ticket(form, address)


@pytest.fixture
def _nobody_waits() -> None:
    cache.delete_many(
        [proof_of_work._turn_key(form, address) for form in ("form", "other") for address in (HERE, THERE)]
    )


@pytest.mark.usefixtures("_nobody_waits")
class TestTickets:
    def test_it_is_good_after_the_wait_and_once(self) -> None:
        ticket = waiting_ticket("form", HERE)
        assert not use_ticket("form", ticket, HERE) and seconds_to_wait("form", ticket, HERE) == proof_of_work.WAIT

    def test_once(self) -> None:
        ticket = ripe_ticket()
        assert seconds_to_wait("form", ticket, HERE) == 0
        assert [use_ticket("form", ticket, HERE) for _ in range(2)] == [True, False]
        assert seconds_to_wait("form", ticket, HERE) is None

    def test_one_for_each_wait_of_an_address(self) -> None:
        """However many were collected; the others stay good, and say how long they still take."""
        tickets = [ripe_ticket() for _ in range(3)]
        assert [use_ticket("form", ticket, HERE) for ticket in tickets] == [True, False, False]
        assert 0 < (seconds_to_wait("form", tickets[1], HERE) or 0) <= proof_of_work.WAIT
        assert use_ticket("form", ripe_ticket(address=THERE), THERE)
        cache.delete(proof_of_work._turn_key("form", HERE))  # the wait is over
        assert [use_ticket("form", ticket, HERE) for ticket in tickets] == [False, True, False]

    def test_of_several_at_once_one_is_taken(self) -> None:
        tickets = [ripe_ticket() for _ in range(8)]
        taken = at_once([partial(use_ticket, "form", ticket, HERE) for ticket in tickets])
        assert sorted(map(bool, taken)) == [False] * 7 + [True] and not any(isinstance(one, Exception) for one in taken)
        assert use_ticket("form", ripe_ticket(address=THERE), THERE)

    def test_it_is_of_one_form_and_address_and_ours_and_not_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ticket = ripe_ticket()
        assert not use_ticket("other", ticket, HERE) and not use_ticket("form", ticket[:-1] + "x", HERE)
        assert not use_ticket("form", ticket, THERE) and seconds_to_wait("form", ticket, THERE) is None
        assert not use_ticket("form", "", HERE) and not use_ticket("form", "x" * 5000, HERE)
        assert HERE not in ticket
        monkeypatch.setattr(proof_of_work, "LIFETIME", -proof_of_work.WAIT - 1)
        assert not use_ticket("form", ticket, HERE)

    def test_an_emptied_redis_refuses_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tickets = [ripe_ticket() for _ in range(2)]
        monkeypatch.setattr(cache, "add", lambda *args, **kwargs: None)
        assert all(use_ticket("form", ticket, HERE) for ticket in tickets)
