"""Answers as Server-Sent Events: frames, heartbeats, reconnecting."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from inference.chats import asking
from inference.models import Turn
from inference.turns import sse
from inference.turns.events import Event, Queued, Token
from inference.turns.runtime import Runtime
from oasst.accounts.models import User
from oasst.api.compact_json import dump
from oasst.core.errors import Busy
from tests.inference.conftest import Brake
from tests.inference.talking import BOUND, ENDLESS, ask, content, wait_for_text

StartRuntime = Callable[..., Runtime]


def frames(turn: Turn, at_most: int = 0, encode: sse.Encode = sse.encode_as_json, **options: Any) -> list[str]:
    async def collect() -> list[str]:
        found = []
        response = sse.stream_answer(turn.pk, encode, **options)
        stream = aiter(response)
        async for frame in stream:
            found.append(frame.decode())
            if len(found) == at_most:
                await stream.aclose()
                break
        return found

    return asyncio.run(asyncio.wait_for(collect(), BOUND))


def parsed(frames: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return (id, data) of each event, as a client that knows only `data:` reads them."""
    lines = "".join(frames).split("\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    return [(event["id"], event) for event in events]


class TestStream:
    def test_readers_that_split_lines_anywhere_read_the_whole_event(self) -> None:
        """Python's clients split at U+2028 and U+0085 too, and JSON does not escape them by itself."""
        text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1eg é"
        frame = f"data: {dump({'text': text})}"
        assert frame.splitlines() == [frame] and "é" in frame
        assert json.loads(frame.removeprefix("data: ")) == {"text": text}

    def test_it_works(self, alice: User, answering: StartRuntime) -> None:
        turn = ask(alice)
        answering()
        said = frames(turn)
        assert all(frame.endswith("\n\n") for frame in said[1:])
        events = parsed(said)
        assert events[-1][1]["type"] == "done" and events[-1][1]["text"] == content(turn)
        assert "".join(data["text"] for _, data in events if data["type"] == "token") == content(turn)

    def test_a_reader_goes_on_where_it_was_cut_off(self, alice: User, answering: StartRuntime) -> None:
        turn = ask(alice, max_tokens=300)
        answering()
        before = parsed(frames(turn, 6))
        after = parsed(frames(turn, after=before[-1][0]))
        pieces = [data["text"] for _, data in before + after if data["type"] == "token"]
        assert "".join(pieces) == content(turn)

    def test_an_event_source_is_told_where_to_go_on(self, alice: User, answering: StartRuntime) -> None:
        turn = ask(alice)
        answering()
        first, *rest = frames(turn, ids=True)
        assert first == "retry: 2000\n\n"
        for frame in rest:
            place, data = frame.removesuffix("\n\n").split("\n")
            assert place == f"id: {json.loads(data.removeprefix('data: '))['id']}"

    @pytest.mark.parametrize("given", ["-1", "x", "1" * 30, "٣", "1.5", ""])
    def test_a_place_that_is_none_is_the_beginning(self, given: str) -> None:
        assert sse.parse_position(given) == 0

    def test_an_encoding_may_leave_events_out_and_look_things_up(self, alice: User, answering: StartRuntime) -> None:
        async def only_tokens(event: Event) -> dict[str, str] | None:
            await asyncio.sleep(0)
            return {"piece": event.text} if isinstance(event, Token) else None

        turn = ask(alice)
        answering()
        events = parsed(frames(turn, encode=only_tokens))
        assert "".join(data["piece"] for _, data in events) == content(turn)

    def test_nothing_is_kept_back_on_the_way(self, alice: User) -> None:
        response = sse.stream_answer(alice.pk)
        assert response["Content-Type"] == "text/event-stream"
        assert (response["X-Accel-Buffering"], response["Cache-Control"]) == ("no", "no-cache, no-transform")


@pytest.mark.django_db(transaction=True)
class TestWaiting:
    def test_the_line_is_kept_alive(self, alice: User, chat_on: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.1)
        events = parsed(frames(ask(alice), 6))
        assert len(events) == 5 and events[0][1]["type"] == "queued"
        assert events == events[:1] * 5, "the place in the queue again"

    def test_without_news_of_the_text_there_is_an_empty_piece(
        self, alice: User, answering: StartRuntime, brake: Brake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brake.hold(20)
        turn = ask(alice, **ENDLESS)
        answering()
        wait_for_text(turn)
        monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.02)
        events, place = parsed(frames(turn, 30)), 0
        for _, data in events:
            place += len(data["text"])
            assert data == {"type": "token", "id": place, "text": data["text"]}
        assert not all(data["text"] for _, data in events)
        asking.stop_turn(user=alice, message_id=turn.pk)

    def test_there_is_room_for_a_few_readers(self, alice: User, chat_on: None) -> None:
        turn = ask(alice)

        async def watch_many() -> None:
            streams = [aiter(sse.stream_answer(turn.pk)) for _ in range(sse.MAX_STREAMS_PER_ANSWER)]
            for stream in streams:
                await anext(stream)
            with pytest.raises(Busy, match="too often"):
                sse.stream_answer(turn.pk)
            for stream in streams:
                await stream.aclose()

        asyncio.run(asyncio.wait_for(watch_many(), BOUND))
        assert frames(turn, 2)  # a reader left


class TestPauses:
    def test_leaving_ends_what_was_watched(self) -> None:
        ended = []

        async def never() -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.sleep(BOUND)
            finally:
                ended.append(True)

        async def leave() -> None:
            stream = sse.with_heartbeats(never(), 0.01)
            assert [await anext(stream), await anext(stream)] == [1, None]
            await stream.aclose()  # type: ignore[attr-defined]
            assert ended

        asyncio.run(leave())


@pytest.mark.django_db(transaction=True)
def test_a_stopped_answer_ends_its_streams(alice: User, answering: StartRuntime) -> None:
    turn = ask(alice, **ENDLESS)
    answering()
    wait_for_text(turn)

    async def stop_while_reading() -> list[str]:
        found = []
        async for frame in sse.stream_answer(turn.pk):
            found.append(frame.decode())
            if len(found) == 1:
                await asyncio.to_thread(asking.stop_turn, user=alice, message_id=turn.pk)
        return found

    events = parsed(asyncio.run(asyncio.wait_for(stop_while_reading(), BOUND)))
    assert events[-1][1]["state"] == "stopped" and not any(isinstance(data, Queued) for _, data in events)
