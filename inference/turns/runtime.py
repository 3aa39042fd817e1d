"""Between the queue in the database and an engine: takes turns, hands on what the model writes, saves it, ends it.

One thread, so that nothing here needs a lock; threads of the engine and of the bell only put words into its inbox. It
never runs on the event loop of the web server. It may be killed at any moment: what it held is taken over after the
lease, and goes on behind the last checkpoint.
"""

import contextlib
import json
import os
import queue
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog
from django.db import connection
from django.db.utils import DatabaseError, InterfaceError
from django.utils import timezone
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from inference import queries
from inference.chats.titles import PREFIX, Titles
from inference.engine.base import Chunk, Engine, EngineError, Finish, Full, Message, Prefix, Refused, Request
from inference.engine.sampling import sampling
from inference.models import Role, Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle, metrics, streams
from inference.turns.lifecycle import TOO_LATE, Ending, Progress
from inference.turns.states import TurnState

log = structlog.get_logger(__name__)

CHECKPOINT_SECONDS = 0.5
_SWEEP_SECONDS = 10.0
_SIGN_SECONDS = 3.0
_AWAY = (DatabaseError, InterfaceError, PoolTimeout)
"""The database does not answer: try again, and go on writing meanwhile."""
_ENDINGS = {
    Finish.END: Ending(TurnState.COMPLETE, Finish.END),
    Finish.LENGTH: Ending(TurnState.COMPLETE, Finish.LENGTH),
    Finish.STOP: Ending(TurnState.COMPLETE, Finish.STOP),
}
_STOPPED = Ending(TurnState.STOPPED, Finish.CANCELLED)


@dataclass
class _Answer:
    turn: Turn
    text: str
    token_ids: list[int]
    deadline: float
    prompt_tokens: int = 0
    dropped_messages: int = 0
    ending: Ending | None = None
    """Set when the engine is done with it and only the database has to hear of it."""
    why: Ending = field(default=_STOPPED)
    """What a cancelled answer was cancelled for."""

    @property
    def progress(self) -> Progress:
        return Progress(str(self.turn.pk), self.text, self.token_ids, self.prompt_tokens, self.dropped_messages)


class Runtime:
    """`start` it beside whatever the process does, `stop` it before the process ends."""

    def __init__(self, engine: Engine, policy: ChatPolicy) -> None:
        self._host = socket.gethostname().replace(":", "")[:30]
        self.owner = f"{self._host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._engine = engine
        self._policy = policy
        self._inbox: queue.SimpleQueue[Chunk | str] = queue.SimpleQueue()
        self._answers: dict[str, _Answer] = {}
        self._pieces: list[tuple[str, streams.Piece]] = []
        self._stopping = threading.Event()
        self._titles = Titles(engine, self._inbox.put)
        self._checkpoint_at = self._sweep_at = self._sign_at = 0.0
        self._signed_at = self._began_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="chat runtime", daemon=True)
        self._bells = threading.Thread(target=self._listen, name="chat bell", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._bells.start()

    def stop(self, seconds: float = 4.0) -> None:
        """Save what is being written, give it back to the queue and stop the engine."""
        self._stopping.set()
        self._inbox.put("")
        self._thread.join(seconds)
        self._engine.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    # Other threads

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                for word in streams.bells():
                    if self._stopping.is_set():
                        return
                    if word:
                        self._inbox.put(word)
            except RedisError:
                self._stopping.wait(1)

    # The one thread

    def _run(self) -> None:
        with contextlib.suppress(*_AWAY):
            lifecycle.forget_dead(host=self._host)
        while not self._stopping.is_set():
            try:
                self._once()
            except _AWAY as error:
                log.warning("chat_database_away", reason=str(error))
                self._stopping.wait(0.2)
            except Exception:
                log.exception("chat_runtime_stumbled")
                self._stopping.wait(0.2)
            finally:
                connection.close()  # back to the pool: it is shared with the pages
        self._hand_back()

    def _once(self) -> None:
        hurry = self._read_inbox()
        self._send_pieces()
        now = time.monotonic()
        if now >= self._checkpoint_at:
            self._checkpoint_at = now + CHECKPOINT_SECONDS
            hurry = True
            self._checkpoint()
        if hurry or any(one.ending for one in self._answers.values()):
            self._finish_ended()
            self._claim()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_SECONDS
            lifecycle.end_overdue(self._policy)
            self._titles.write_next()
        if now >= self._sign_at:
            self._sign_at = now + _SIGN_SECONDS
            streams.sign(self.owner, json.dumps(self._figures()))

    def _read_inbox(self) -> bool:
        """Whether there is something to claim."""
        hurry = False
        wait = max(self._checkpoint_at - time.monotonic(), 0.0)
        try:
            word = self._inbox.get(timeout=min(wait, CHECKPOINT_SECONDS) or 0.001)
            while True:
                if isinstance(word, Chunk):
                    self._take(word)
                elif word.startswith("stop "):
                    self._cancel(word.removeprefix("stop "), _STOPPED)
                else:
                    hurry = True
                word = self._inbox.get_nowait()
        except queue.Empty:
            return hurry

    def _take(self, chunk: Chunk) -> None:
        if chunk.request_id.startswith(PREFIX):
            self._titles.take(chunk)
            return
        one = self._answers.get(chunk.request_id)
        if one is None:
            return
        text = _storable(chunk.text)
        if text:
            if not one.text:
                metrics.first_text_seconds.observe((timezone.now() - one.turn.queued_at).total_seconds())
            one.text += text
            self._pieces.append((chunk.request_id, streams.Piece(len(one.text), text)))
        one.token_ids += chunk.token_ids
        metrics.tokens.inc(len(chunk.token_ids))
        one.prompt_tokens, one.dropped_messages = chunk.prompt_tokens, chunk.dropped_messages
        if chunk.finish is None:
            return
        if chunk.finish == Finish.CANCELLED:
            one.ending = one.why
        elif chunk.finish == Finish.FAILED and chunk.again:
            self._answers.pop(chunk.request_id)
            lifecycle.release(owner=self.owner, turn_ids=[chunk.request_id])
        elif chunk.finish == Finish.FAILED:
            one.ending = Ending(TurnState.FAILED, Finish.FAILED, "engine", chunk.error)
        else:
            one.ending = _ENDINGS[chunk.finish]

    def _send_pieces(self) -> None:
        """One piece for each turn, however many chunks came meanwhile."""
        pieces, self._pieces = self._pieces, []
        if time.monotonic() - self._signed_at > self._policy.lease_seconds:
            return  # we may have been thought dead; the checkpoint tells which answers are still ours
        joined: dict[str, streams.Piece] = {}
        for turn_id, piece in pieces:
            before = joined.get(turn_id)
            joined[turn_id] = piece if before is None else streams.Piece(piece.id, f"{before.text}{piece.text}")
        streams.append(list(joined.items()))

    def _checkpoint(self) -> None:
        ours = lifecycle.checkpoint(
            owner=self.owner, progress=[one.progress for one in self._answers.values()], policy=self._policy
        )
        self._signed_at = time.monotonic()
        for turn_id, one in list(self._answers.items()):
            if turn_id not in ours:
                log.warning("turn_lost", turn=turn_id)
                del self._answers[turn_id]
                self._engine.cancel(turn_id)
            elif one.ending is None and ours[turn_id]:
                self._cancel(turn_id, _STOPPED)
            elif one.ending is None and self._signed_at > one.deadline:
                self._cancel(turn_id, TOO_LATE)

    def _cancel(self, turn_id: str, why: Ending) -> None:
        """The engine answers at once with a last chunk."""
        if one := self._answers.get(turn_id):
            one.why = why
            self._engine.cancel(turn_id)

    def _finish_ended(self) -> None:
        for turn_id, one in list(self._answers.items()):
            if one.ending is not None:
                lifecycle.finish(owner=self.owner, progress=one.progress, ending=one.ending)
                del self._answers[turn_id]
                self._titles.write_next()

    def _claim(self) -> None:
        load = self._engine.load()
        if load.running >= load.slots:
            return
        free = load.slots - load.running
        for turn in lifecycle.claim(owner=self.owner, model=self._engine.model, number=free, policy=self._policy):
            self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        deadline = time.monotonic() + self._policy.answer_seconds
        one = _Answer(turn, turn.text, list(turn.token_ids), deadline, turn.prompt_tokens, turn.dropped_messages)
        turn_id = str(turn.pk)
        self._answers[turn_id] = one
        if turn.stop_asked_at is not None:
            one.ending = _STOPPED
            return
        prefix = Prefix(turn.text, tuple(turn.token_ids))
        try:
            request = Request(turn_id, conversation(turn), sampling(turn.sampling), prefix)
            self._engine.add(request, self._inbox.put)
        except Refused as error:
            one.ending = Ending(TurnState.FAILED, Finish.FAILED, error.code, error.message)
        except (Full, EngineError) as error:
            log.warning("turn_not_begun", turn=turn_id, reason=str(error))
            del self._answers[turn_id]
            lifecycle.release(owner=self.owner, turn_ids=[turn_id])
        except Exception as error:
            log.exception("turn_can_not_begin", turn=turn_id)
            one.ending = Ending(TurnState.FAILED, Finish.FAILED, "engine", f"This can not be answered: {error}")

    def _figures(self) -> dict[str, Any]:
        """As `inference.turns.status.EngineSign` reads it."""
        return {
            **asdict(self._engine.load()),
            "model": self._engine.model,
            "memory": memory_in_use(),
            "up_seconds": int(time.monotonic() - self._began_at),
        }

    def _hand_back(self) -> None:
        try:
            self._send_pieces()
            ended = [one for one in self._answers.values() if one.ending]
            lifecycle.checkpoint(
                owner=self.owner, progress=[one.progress for one in self._answers.values()], policy=self._policy
            )
            for one in ended:
                lifecycle.finish(owner=self.owner, progress=one.progress, ending=one.ending or _STOPPED)
            lifecycle.release(owner=self.owner, turn_ids=self._answers)
            streams.forget(self.owner)
        except Exception as error:
            log.warning("chat_not_handed_back", reason=str(error))  # the leases run out
        finally:
            connection.close()


def conversation(turn: Turn) -> list[Message]:
    """What the model gets to read: the system prompt and the branch that the turn answers, or what a program sent."""
    if turn.prompt is not None:
        return [Message(one["role"], one["content"]) for one in turn.prompt]
    said = queries.thread_of(turn.message.parent_id) if turn.message.parent_id else []
    messages = [Message("user" if one.role == Role.PROMPTER else "assistant", one.content) for one in said]
    return [Message("system", turn.system_prompt), *messages] if turn.system_prompt else messages


def memory_in_use() -> int:
    """Bytes of this process that are in memory; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL, and half of a surrogate pair is no character."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
