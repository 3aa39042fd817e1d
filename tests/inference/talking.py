"""Helpers for chats in tests: ask, watch, and get the text of the tiny model."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from inference.chats import asking, changes
from inference.models import Chat, ChatMessage, Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle
from inference.turns.events import Done, Event, Failed, Queued, Token
from inference.turns.states import TurnState
from inference.turns.watch import watch_turn
from oasst.accounts.models import User

POLICY = ChatPolicy(lease_seconds=3)
GREEDY = {"temperature": 0, "max_tokens": 60}
ENDLESS = {"temperature": 0, "max_tokens": 1500, "logit_bias": {"452": -100}}  # never the end of a turn
BOUND = 90  # seconds before a test that hangs fails


def new_chat(user: User, **instructions: str) -> Chat:
    return Chat.objects.create(user=user, **instructions)


def set_instructions(user: User, chat_id: UUID, system_prompt: str) -> None:
    """Save the settings like the page, with the defaults of a new chat for the rest."""
    changes.save_settings(
        user=user,
        chat_id=chat_id,
        policy=POLICY,
        model=settings.OASST_CHAT_MODEL,
        chosen={},
        allow_data_use=True,
        system_prompt=system_prompt,
    )


def ask(user: User, text: str = "Tell me something", policy: ChatPolicy = POLICY, **settings: Any) -> Turn:
    """Create a chat with one question."""
    chat = new_chat(user)
    return asking.start_turn(user=user, chat_id=chat.pk, text=text, policy=policy, chosen={**GREEDY, **settings})


def answered(turn: Turn, text: str = "An answer.") -> Turn:
    """Write the answer, as an engine would."""
    (claimed,) = lifecycle.claim(owner="test", model="tiny", number=1, policy=POLICY)
    assert claimed.pk == turn.pk
    progress = lifecycle.Progress(str(turn.pk), text, [1, 2, 3], 10, 0)
    assert lifecycle.finish(owner="test", progress=progress, ending=lifecycle.Ending(TurnState.COMPLETE, "eos_token"))
    return fresh(turn)


def complete(user: User, policy: ChatPolicy = POLICY) -> Turn:
    """Ask like an API client."""
    return asking.complete(user=user, messages=[{"role": "user", "content": "Hi"}], policy=policy)


def send_completion(
    address: tuple[str, int], token: str, body: Any, *, timeout: float, headers: Mapping[str, str] | None = None
) -> socket.socket:
    """A completion of /v1 asked for byte by byte; the connection, with nothing read from it yet."""
    data = json.dumps(body).encode()
    head = {"Host": "localhost", "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    head |= {**(headers or {}), "Content-Length": str(len(data))}
    lines = [f"{name}: {value}" for name, value in head.items()]
    line = socket.create_connection(address, timeout=timeout)
    line.sendall("\r\n".join(["POST /v1/chat/completions HTTP/1.1", *lines, "", ""]).encode() + data)
    return line


def wait_until(is_so: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + BOUND
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def wait_for_state(turn: Turn, *states: str) -> Turn:
    wait_until(lambda: fresh(turn).state in states, f"still not {states}")
    return fresh(turn)


def wait_for_text(turn: Turn, length: int = 1) -> None:
    wait_until(lambda: len(fresh(turn).text) >= length, "no text")


def fresh(turn: Turn) -> Turn:
    return Turn.objects.select_related("message__chat").get(pk=turn.pk)


def content(turn: Turn) -> str:
    return ChatMessage.objects.get(pk=turn.pk).content


def watch(turn_id: UUID, after: int = 0, at_most: int = 0) -> list[Event]:
    """Return the events to the end, or the first few. Checks that they have no gap or overlap."""

    async def collect() -> list[Event]:
        events: list[Event] = []
        stream = watch_turn(turn_id, after)
        async for event in stream:
            events.append(event)
            if len(events) == at_most:
                await stream.aclose()  # type: ignore[attr-defined]
                break
        return events

    events = asyncio.run(asyncio.wait_for(collect(), BOUND))
    check_joined(events, after)
    return events


def check_joined(events: list[Event], after: int = 0) -> None:
    place = after
    for event in events:
        if isinstance(event, Token):
            assert event.text and event.id - len(event.text) == place, f"a gap or a repeat at {place}: {event}"
            place = event.id
        elif isinstance(event, Queued):
            assert event.id == place
        else:
            assert event.id > place


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def last(events: list[Event]) -> Done | Failed:
    event = events[-1]
    assert isinstance(event, Done | Failed)
    return event
