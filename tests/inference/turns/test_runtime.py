"""Answers are written, watched, stopped and resumed, with a real engine, PostgreSQL and Redis."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.db import connection, connections

from inference.chats import asking, titles
from inference.engine.base import Chunk, Finish
from inference.engine.torch_engine import TorchEngine
from inference.models import Chat, Turn
from inference.turns import lifecycle, status, streams
from inference.turns.events import Done, Failed, Queued, Token
from inference.turns.runtime import Runtime
from inference.turns.states import TurnState
from inference.turns.watch import watch_turn
from oasst.accounts.models import User
from tests.inference.conftest import Brake
from tests.inference.talking import (
    BOUND,
    ENDLESS,
    GREEDY,
    POLICY,
    ask,
    content,
    fresh,
    last,
    new_chat,
    text_of,
    wait_for_state,
    wait_for_text,
    wait_until,
    watch,
)

StartRuntime = Callable[..., Runtime]


@pytest.fixture(autouse=True)
def _connection_for_threads(transactional_db: None) -> Any:
    """Close connections between tests, because the pool is small."""
    yield
    connection.close()


class TestAnswering:
    def test_it_works(self, alice: User, answering: StartRuntime) -> None:
        answering()
        turn = ask(alice)
        events = watch(turn.pk)
        done = last(events)
        assert isinstance(done, Done)
        assert text_of(events) == done.text == content(turn) != ""
        turn = fresh(turn)
        assert (turn.state, turn.text, turn.token_ids, turn.owner) == (TurnState.COMPLETE, "", [], "")
        assert turn.prompt_tokens == done.prompt_tokens > 0
        assert turn.completion_tokens == done.completion_tokens > 0
        assert turn.finish_reason in (Finish.END, Finish.LENGTH)
        assert turn.ended_at and turn.began_at and turn.ended_at >= turn.began_at >= turn.queued_at

    def test_the_model_reads_the_branch_and_the_instructions(
        self, alice: User, answering: StartRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []
        add = TorchEngine.add
        monkeypatch.setattr(
            TorchEngine, "add", lambda self, request, out: (seen.append(request), add(self, request, out))
        )
        answering()
        chat = new_chat(alice, system_prompt="Be brief.")
        first = asking.start_turn(user=alice, chat_id=chat.pk, text="One", policy=POLICY, chosen={"max_tokens": 5})
        wait_for_state(first, TurnState.COMPLETE)
        second = asking.start_turn(
            user=alice, chat_id=chat.pk, text="Two", policy=POLICY, parent_id=first.pk, chosen={"max_tokens": 5}
        )
        wait_for_state(second, TurnState.COMPLETE)
        request = next(one for one in seen if one.id == str(second.pk))
        assert [(one.role, one.content) for one in request.messages] == [
            ("system", "Be brief."),
            ("user", "One"),
            ("assistant", content(first)),
            ("user", "Two"),
        ]

    def test_a_title_comes_from_the_model_afterwards(self, alice: User, answering: StartRuntime) -> None:
        answering()
        turn = ask(alice, "How do I bake bread?")
        wait_until(lambda: Chat.objects.get().titled_by == Chat.TitledBy.MODEL, "no title")
        assert Chat.objects.get().title != "How do I bake bread?"
        assert len(Chat.objects.get().title) <= 100 and fresh(turn).state == TurnState.COMPLETE

    def test_a_title_waits_for_an_idle_moment_and_outlives_a_crash(
        self, alice: User, bob: User, answering: StartRuntime
    ) -> None:
        turn = ask(alice, "How do I bake bread?")
        answering().stop()
        first = answering(slots=1)
        wait_for_state(turn, TurnState.COMPLETE)
        first.stop()  # perhaps before the title was written
        Chat.objects.update(title="How do I bake bread?", titled_by=Chat.TitledBy.FIRST_LINE)
        waiting = ask(bob)
        Turn.objects.filter(pk=waiting.pk).update(model="another")
        assert titles.next_untitled("tiny", set()) is None, "somebody waits"
        asking.stop_turn(user=bob, message_id=waiting.pk)
        question = titles.next_untitled("tiny", set())
        assert question is not None and question.pk == turn.message.parent_id
        assert titles.next_untitled("tiny", {question.chat_id}) is None
        answering()
        wait_until(lambda: Chat.objects.get(user=alice).titled_by == Chat.TitledBy.MODEL, "no title")

    def test_programs_chats_get_no_title(self, alice: User, answering: StartRuntime) -> None:
        answering()
        turn = asking.complete(user=alice, messages=[{"role": "user", "content": "Hi"}], policy=POLICY, chosen=GREEDY)
        wait_for_state(turn, TurnState.COMPLETE)
        assert titles.next_untitled("tiny", set()) is None
        assert Chat.objects.get().title == ""

    def test_what_the_model_can_not_answer_ends_with_a_reason(
        self, alice: User, bob: User, answering: StartRuntime
    ) -> None:
        answering()
        quiet = ask(bob)
        turn = ask(alice, "word " * 3999)
        failed = last(watch(turn.pk))
        assert isinstance(failed, Failed)
        assert (failed.state, failed.code) == (TurnState.FAILED, "too_long")
        assert "too long" in failed.message
        assert isinstance(last(watch(quiet.pk)), Done)

    def test_more_people_than_places(self, people: Callable[[str], User], answering: StartRuntime) -> None:
        answering(slots=2)
        turns = [ask(people(f"Person {number}")) for number in range(7)]
        texts = [text_of(watch(turn.pk)) for turn in turns]
        assert len(set(texts)) == 1, "all asked the same, greedily"


class TestFigures:
    def test_an_engine_tells_how_it_does(self, alice: User, answering: StartRuntime) -> None:
        runtime = answering(slots=3)
        wait_until(status.engines, "no sign of life")
        (sign,) = status.engines()
        assert (sign.owner, sign.model, sign.slots) == (runtime.owner, "tiny", 3)
        assert sign.memory > 10_000_000 and sign.seconds_ago < BOUND
        turn = ask(alice)
        wait_for_state(turn, TurnState.COMPLETE)
        told = status.chat_metrics()
        assert "oasst_chat_slots 3.0" in told and 'oasst_chat_turns{state="pending"} 0.0' in told
        assert status.recent_answers().number == 1 and status.recent_answers().first_text is not None
        runtime.stop()
        assert status.engines() == []

    def test_the_queue(self, alice: User, bob: User, chat_on: None) -> None:
        for person in (alice, alice, bob):
            ask(person)
        found = status.queue()
        assert (found.waiting, found.in_progress, found.people) == (3, 0, 2)
        assert found.longest_wait > 0
        assert 'oasst_chat_turns{state="pending"} 3.0' in status.chat_metrics()


class TestWatching:
    def test_from_anywhere_any_number_of_times(self, alice: User, answering: StartRuntime, brake: Brake) -> None:
        brake.hold(100)
        answering()
        turn = ask(alice, max_tokens=300)
        wait_for_text(turn, 40)
        first = watch(turn.pk, at_most=1)  # leaves in the middle
        seen = text_of(first)
        brake.release()
        rest = watch(turn.pk, after=len(seen))
        whole = content(turn)
        assert seen + text_of(rest) == whole
        for after in (0, 1, len(whole) // 2, len(whole)):
            again = watch(turn.pk, after=after)
            assert text_of(again) == whole[after:], "long after the end"
            assert isinstance(last(again), Done)

    def test_ten_readers_see_the_same(self, alice: User, answering: StartRuntime) -> None:
        answering()
        turn = ask(alice, max_tokens=200)

        async def read(delay: float) -> str:
            await asyncio.sleep(delay)
            return text_of([event async for event in watch_turn(turn.pk)])

        async def everybody() -> list[str]:
            return await asyncio.wait_for(asyncio.gather(*(read(number / 10) for number in range(10))), BOUND)

        texts = asyncio.run(everybody())
        assert set(texts) == {content(turn)}

    def test_who_waits_sees_the_place_move(self, alice: User, bob: User, answering: StartRuntime) -> None:
        runtime = answering(slots=1)
        ahead = ask(alice, **ENDLESS)
        wait_for_text(ahead)
        turn = ask(bob)
        ask(alice)
        (queued,) = watch(turn.pk, at_most=1)
        assert isinstance(queued, Queued)
        assert (queued.id, queued.position, queued.size) == (0, 1, 2)
        assert queued.wait_seconds > 0
        asking.stop_turn(user=alice, message_id=ahead.pk)
        assert isinstance(last(watch(turn.pk)), Done)
        assert runtime.alive

    def test_emptying_redis_loses_nothing(
        self, alice: User, answering: StartRuntime, redis_server: "redis.Redis"
    ) -> None:
        answering()
        undisturbed = text_of(watch(ask(alice, max_tokens=600).pk))
        turn = ask(alice, max_tokens=600)
        stop = threading.Event()

        def empty_again_and_again() -> None:
            while not stop.wait(0.15):
                redis_server.flushdb()

        thread = threading.Thread(target=empty_again_and_again)
        thread.start()
        try:
            events = watch(turn.pk)
        finally:
            stop.set()
            thread.join()
        assert text_of(events) == undisturbed == content(turn)

    def test_without_redis_it_is_slower_and_that_is_all(
        self, alice: User, answering: StartRuntime, settings: Any
    ) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        answering()
        turn = ask(alice, max_tokens=100)
        assert text_of(watch(turn.pk)) == content(turn) != ""

    def test_pieces_that_overlap_or_repeat_are_shown_once(
        self, alice: User, transactional_db: None, chat_on: None
    ) -> None:
        """As after the death of an engine that streamed more than it saved, if the next one cuts other pieces."""
        turn = ask(alice)
        (claimed,) = lifecycle.claim(owner="one", model="tiny", number=1, policy=POLICY)
        for place, text in [(3, "abc"), (5, "de"), (4, "abcd"), (8, "fgh"), (9, "ghi")]:
            streams.append([(str(turn.pk), streams.Piece(place, text))])
        progress = lifecycle.Progress(str(claimed.pk), "abcdefghij", [1])
        lifecycle.finish(owner="one", progress=progress, ending=lifecycle.Ending(TurnState.COMPLETE, Finish.END))
        events = watch(turn.pk)
        assert text_of(events) == "abcdefghij"
        assert [event.text for event in watch(turn.pk, after=4) if isinstance(event, Token)] == ["efghij"]


class TestEnding:
    def test_stopped_within_a_second(self, alice: User, answering: StartRuntime) -> None:
        runtime = answering()
        turn = ask(alice, **ENDLESS)
        wait_for_text(turn, 5)
        asking.stop_turn(user=alice, message_id=turn.pk)
        asking.stop_turn(user=alice, message_id=turn.pk)
        turn = wait_for_state(turn, TurnState.STOPPED)
        assert turn.stop_asked_at is not None and turn.ended_at is not None
        assert (turn.ended_at - turn.stop_asked_at).total_seconds() < 5  # about a second on an idle machine
        assert content(turn) != ""
        done = last(watch(turn.pk))
        assert isinstance(done, Done) and done.state == TurnState.STOPPED and done.text == content(turn)
        wait_until(lambda: runtime._engine.load().running == 0)

    def test_a_stop_that_no_bell_told_of(
        self, alice: User, answering: StartRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answering()
        turn = ask(alice, **ENDLESS)
        wait_for_text(turn, 5)
        monkeypatch.setattr(streams, "publish_command", lambda word="claim": None)
        asking.stop_turn(user=alice, message_id=turn.pk)
        wait_for_state(turn, TurnState.STOPPED)

    def test_leaving_does_not_stop_it(self, alice: User, answering: StartRuntime) -> None:
        answering()
        turn = ask(alice, max_tokens=200)
        watch(turn.pk, at_most=1)
        assert wait_for_state(turn, TurnState.COMPLETE).completion_tokens > 0

    def test_what_takes_too_long_ends_with_what_it_has(self, alice: User, answering: StartRuntime) -> None:
        answering(replace(POLICY, answer_seconds=1))
        turn = ask(alice, **ENDLESS)
        failed = last(watch(turn.pk))
        assert isinstance(failed, Failed)
        assert (failed.state, failed.code) == (TurnState.TIMED_OUT, "timeout")
        assert failed.text == content(turn) != ""

    def test_a_dead_model_loop_is_not_noticed(self, alice: User, answering: StartRuntime, brake: Brake) -> None:
        runtime = answering()
        undisturbed = text_of(watch(ask(alice, max_tokens=400).pk))
        brake.hold(100)
        turn = ask(alice, max_tokens=400)
        wait_for_text(turn, 20)
        engine = runtime._engine
        assert isinstance(engine, TorchEngine)
        engine._batch.add("poison", [10**6], 5, engine._running[str(turn.pk)].request.sampling)
        wait_until(lambda: engine.load().rebuilt == 1, "the loop lives")
        brake.release()
        assert text_of(watch(turn.pk)) == undisturbed
        assert engine.load().rebuilt == 1


class TestChangingHands:
    def test_a_runtime_that_stops_gives_back_and_the_next_goes_on(
        self, alice: User, answering: StartRuntime, brake: Brake
    ) -> None:
        undisturbed_by = answering()
        undisturbed = text_of(watch(ask(alice, max_tokens=500).pk))
        brake.hold(100)
        turn = ask(alice, max_tokens=500)
        wait_for_text(turn, 20)
        undisturbed_by.stop()
        brake.release()
        waiting = fresh(turn)
        assert (waiting.state, waiting.owner) == (TurnState.PENDING, "")
        assert undisturbed.startswith(waiting.text) and waiting.text and waiting.token_ids
        answering()
        assert text_of(watch(turn.pk)) == undisturbed

    def test_a_runtime_that_was_thought_dead_stops_writing(
        self, alice: User, answering: StartRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runtime = answering()
        turn = ask(alice, **ENDLESS)
        wait_for_text(turn, 5)
        Turn.objects.filter(pk=turn.pk).update(owner="somebody else")
        wait_until(lambda: runtime._engine.load().running == 0, "it writes on")
        assert fresh(turn).owner == "somebody else"

    def test_the_database_goes_away_for_a_moment(self, alice: User, answering: StartRuntime, brake: Brake) -> None:
        answering()
        undisturbed = text_of(watch(ask(alice, max_tokens=400).pk))
        brake.hold(100)
        turn = ask(alice, max_tokens=400)
        wait_for_text(turn, 5)
        # Other tests leave connections open (channels.testing), which must not be cut.
        asyncio.run(sync_to_async(connections.close_all)())
        with connection.cursor() as cursor:  # every other connection to this database is cut
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        brake.release()
        assert wait_for_state(turn, TurnState.COMPLETE)
        assert content(turn) == undisturbed

    def test_a_server_that_is_away_puts_the_answer_back(
        self, alice: User, transactional_db: None, chat_on: None
    ) -> None:
        """A chunk has `may_retry`: the turn keeps its position and is tried later."""

        class Away(TorchEngine):
            def __init__(self) -> None:
                self.model, self.asked = "tiny", 0

            def add(self, request: Any, deliver: Any) -> None:
                self.asked += 1
                if self.asked < 3:
                    deliver(Chunk(request.id, finish=Finish.FAILED, error="away", may_retry=True))
                else:
                    deliver(Chunk(request.id, "Here", (1,), Finish.END))

            def load(self) -> Any:
                from inference.engine.base import Load

                return Load(0, 1)

            def close(self) -> None:
                pass

        runtime = Runtime(Away(), POLICY)
        runtime.start()
        try:
            turn = ask(alice)
            wait_for_state(turn, TurnState.COMPLETE)
            assert content(turn) == "Here"
        finally:
            runtime.stop()


def test_open_streams_hold_no_connection(alice: User, chat_on: None, transactional_db: None) -> None:
    """More users than the pool has connections wait for an answer, and the database still serves others."""
    turn = ask(alice)
    size = connection.settings_dict["OPTIONS"]["pool"]["max_size"]
    connection.close()

    async def wait_together() -> None:
        streams_open = [watch_turn(turn.pk) for _ in range(size + 1)]
        for one in streams_open:
            assert isinstance(await asyncio.wait_for(anext(one), BOUND), Queued)
        waiting = [asyncio.ensure_future(anext(one)) for one in streams_open]
        await asyncio.sleep(0.2)
        pool = connection.pool
        assert pool is not None and pool.get_stats().get("requests_waiting", 0) == 0
        assert await asyncio.to_thread(lambda: (Turn.objects.count(), connection.close())[0]) == 1
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    began = time.monotonic()
    asyncio.run(wait_together())
    assert time.monotonic() - began < BOUND
