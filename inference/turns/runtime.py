"""Connect the queue in the database with an engine: claim turns; stream, save and end their answers.

All state belongs to one thread, so nothing needs a lock; other threads only put items into its inbox. The process may
be killed at any moment: after the lease another engine continues from the last checkpoint.
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
from inference.chats.titles import REQUEST_ID_PREFIX, Titles
from inference.engine.base import Chunk, Engine, EngineError, EngineFull, Finish, Message, Prefix, Refused, Request
from inference.engine.sampling import parse_sampling
from inference.models import Role, Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle, metrics, streams
from inference.turns.lifecycle import TOO_LATE, Ending, Progress
from inference.turns.states import TurnState

log = structlog.get_logger(__name__)

CHECKPOINT_SECONDS = 0.5
_SWEEP_SECONDS = 10.0
_SIGN_OF_LIFE_SECONDS = 3.0
DATABASE_AWAY = (DatabaseError, InterfaceError, PoolTimeout)
"""Errors of an unreachable database: retry, while the engine continues."""
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
    """Set when the engine has ended the answer and the database has not stored that yet."""
    canceled_as: Ending = field(default=_STOPPED)
    """The ending to store when the engine confirms a cancellation."""

    @property
    def progress(self) -> Progress:
        return Progress(str(self.turn.pk), self.text, self.token_ids, self.prompt_tokens, self.dropped_messages)


class Runtime:
    """Answers turns in threads of its own between `start` and `stop`."""

    def __init__(self, engine: Engine, policy: ChatPolicy) -> None:
        self._host = socket.gethostname().replace(":", "")[:30]
        self.owner = f"{self._host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._engine = engine
        self._policy = policy
        self._inbox: queue.SimpleQueue[Chunk | str] = queue.SimpleQueue()
        self._answers: dict[str, _Answer] = {}
        self._pieces: list[tuple[str, streams.Piece]] = []
        self._stopping = threading.Event()
        self._draining = False
        self.used_at = time.monotonic()
        """When an answer began or ended last."""
        self._titles = Titles(engine, self._inbox.put)
        self._checkpoint_at = self._sweep_at = self._sign_of_life_at = 0.0
        self._saved_at = self._began_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="chat runtime", daemon=True)
        self._listener = threading.Thread(target=self._listen, name="chat bell", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._listener.start()

    def stop(self, seconds: float = 4.0) -> None:
        """Save unfinished answers, return them to the queue and stop the engine."""
        self._stopping.set()
        self._inbox.put("")
        self._thread.join(seconds)
        self._engine.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def busy(self) -> bool:
        """Whether answers are being written."""
        return bool(self._answers)

    @property
    def is_draining(self) -> bool:
        return self._draining

    def drain(self, on: bool) -> None:
        """Claim no more turns, or claim them again. Answers in progress go on."""
        self._draining = on

    # The listener thread

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                for command in streams.listen_for_commands():
                    if self._stopping.is_set():
                        return
                    if command:
                        self._inbox.put(command)
            except RedisError:
                self._stopping.wait(1)

    # The runtime thread

    def _run(self) -> None:
        with contextlib.suppress(*DATABASE_AWAY):
            lifecycle.expire_dead_owners(host=self._host)
        while not self._stopping.is_set():
            try:
                self._step()
            except DATABASE_AWAY as error:
                log.warning("chat_database_away", reason=str(error))
                self._stopping.wait(0.2)
            except Exception:
                log.exception("chat_runtime_stumbled")
                self._stopping.wait(0.2)
            finally:
                connection.close()  # the pool is shared with the pages
        self._hand_back()

    def _step(self) -> None:
        may_claim = self._read_inbox()
        self._send_pieces()
        now = time.monotonic()
        if now >= self._checkpoint_at:
            self._checkpoint_at = now + CHECKPOINT_SECONDS
            may_claim = True
            self._checkpoint()
        if may_claim or any(answer.ending for answer in self._answers.values()):
            self._finish_ended()
            self._claim()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_SECONDS
            lifecycle.end_overdue(self._policy)
            self._titles.write_next()
        if now >= self._sign_of_life_at:
            self._sign_of_life_at = now + _SIGN_OF_LIFE_SECONDS
            streams.store_sign_of_life(self.owner, json.dumps(self._figures()))

    def _read_inbox(self) -> bool:
        """Handle all items. Return whether there may be turns to claim."""
        may_claim = False
        wait = max(self._checkpoint_at - time.monotonic(), 0.0)
        try:
            item = self._inbox.get(timeout=min(wait, CHECKPOINT_SECONDS) or 0.001)
            while True:
                if isinstance(item, Chunk):
                    self._take(item)
                elif item.startswith("stop "):
                    self._cancel(item.removeprefix("stop "), _STOPPED)
                else:
                    may_claim = True
                item = self._inbox.get_nowait()
        except queue.Empty:
            return may_claim

    def _take(self, chunk: Chunk) -> None:
        if chunk.request_id.startswith(REQUEST_ID_PREFIX):
            self._titles.take(chunk)
            return
        answer = self._answers.get(chunk.request_id)
        if answer is None:
            return
        text = _storable(chunk.text)
        if text:
            if not answer.text:
                metrics.first_text_seconds.observe((timezone.now() - answer.turn.queued_at).total_seconds())
            answer.text += text
            self._pieces.append((chunk.request_id, streams.Piece(len(answer.text), text)))
        answer.token_ids += chunk.token_ids
        metrics.tokens.inc(len(chunk.token_ids))
        answer.prompt_tokens, answer.dropped_messages = chunk.prompt_tokens, chunk.dropped_messages
        if chunk.finish is None:
            return
        if chunk.finish == Finish.CANCELLED:
            answer.ending = answer.canceled_as
        elif chunk.finish == Finish.FAILED and chunk.may_retry:
            self._answers.pop(chunk.request_id)
            lifecycle.release(owner=self.owner, turn_ids=[chunk.request_id])
        elif chunk.finish == Finish.FAILED:
            answer.ending = Ending(TurnState.FAILED, Finish.FAILED, "engine", chunk.error)
        else:
            answer.ending = Ending(TurnState.COMPLETE, chunk.finish)

    def _send_pieces(self) -> None:
        """Join the new chunks of each turn and send them as one piece."""
        pieces, self._pieces = self._pieces, []
        if time.monotonic() - self._saved_at > self._policy.lease_seconds:
            return  # our leases may have expired; the next checkpoint shows which answers are still ours
        joined: dict[str, streams.Piece] = {}
        for turn_id, piece in pieces:
            before = joined.get(turn_id)
            joined[turn_id] = piece if before is None else streams.Piece(piece.id, f"{before.text}{piece.text}")
        streams.append(list(joined.items()))

    def _checkpoint(self) -> None:
        ours = self._save()
        self._saved_at = time.monotonic()
        for turn_id, answer in list(self._answers.items()):
            if turn_id not in ours:
                log.warning("turn_lost", turn=turn_id)
                del self._answers[turn_id]
                self._engine.cancel(turn_id)
            elif answer.ending is None and ours[turn_id]:
                self._cancel(turn_id, _STOPPED)
            elif answer.ending is None and self._saved_at > answer.deadline:
                self._cancel(turn_id, TOO_LATE)

    def _save(self) -> dict[str, bool]:
        progress = [answer.progress for answer in self._answers.values()]
        return lifecycle.checkpoint(owner=self.owner, progress=progress, policy=self._policy)

    def _cancel(self, turn_id: str, ending: Ending) -> None:
        """Ask the engine to end an answer; it sends a last chunk at once."""
        if answer := self._answers.get(turn_id):
            answer.canceled_as = ending
            self._engine.cancel(turn_id)

    def _finish_ended(self) -> None:
        for turn_id, answer in list(self._answers.items()):
            if answer.ending is not None:
                lifecycle.finish(owner=self.owner, progress=answer.progress, ending=answer.ending)
                del self._answers[turn_id]
                self.used_at = time.monotonic()
                self._titles.write_next()

    def _claim(self) -> None:
        load = self._engine.load()
        if self._draining or load.running >= load.slots:
            return
        free = load.slots - load.running
        for turn in lifecycle.claim(owner=self.owner, model=self._engine.model, number=free, policy=self._policy):
            self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        deadline = time.monotonic() + self._policy.answer_seconds
        answer = _Answer(turn, turn.text, list(turn.token_ids), deadline, turn.prompt_tokens, turn.dropped_messages)
        turn_id = str(turn.pk)
        self._answers[turn_id] = answer
        self.used_at = time.monotonic()
        if turn.stop_asked_at is not None:
            answer.ending = _STOPPED
            return
        prefix = Prefix(turn.text, tuple(turn.token_ids))
        try:
            request = Request(turn_id, prompt_messages(turn), parse_sampling(turn.sampling), prefix)
            self._engine.add(request, self._inbox.put)
        except Refused as error:
            answer.ending = Ending(TurnState.FAILED, Finish.FAILED, error.code, error.message)
        except (EngineFull, EngineError) as error:
            log.warning("turn_not_begun", turn=turn_id, reason=str(error))
            del self._answers[turn_id]
            lifecycle.release(owner=self.owner, turn_ids=[turn_id])
        except Exception as error:
            log.exception("turn_can_not_begin", turn=turn_id)
            answer.ending = Ending(TurnState.FAILED, Finish.FAILED, "engine", f"This cannot be answered: {error}")

    def _figures(self) -> dict[str, Any]:
        """The fields of `inference.turns.status.EngineStatus`."""
        return {
            **asdict(self._engine.load()),
            "model": self._engine.model,
            "memory": memory_in_use(),
            "up_seconds": int(time.monotonic() - self._began_at),
        }

    def _hand_back(self) -> None:
        try:
            self._send_pieces()
            self._save()
            for answer in self._answers.values():
                if answer.ending is not None:
                    lifecycle.finish(owner=self.owner, progress=answer.progress, ending=answer.ending)
            lifecycle.release(owner=self.owner, turn_ids=self._answers)
            streams.remove_sign_of_life(self.owner)
        except Exception as error:
            log.warning("chat_not_handed_back", reason=str(error))  # another engine takes over after the leases
        finally:
            connection.close()


def prompt_messages(turn: Turn) -> list[Message]:
    """Return the messages for the model: the system prompt and the branch, or what an API client sent."""
    if turn.prompt is not None:
        return [Message(message["role"], message["content"]) for message in turn.prompt]
    thread = queries.thread_of(turn.message.parent_id) if turn.message.parent_id else []
    messages = [Message("user" if m.role == Role.PROMPTER else "assistant", m.content) for m in thread]
    return [Message("system", turn.system_prompt), *messages] if turn.system_prompt else messages


def memory_in_use() -> int:
    """Return the resident bytes of this process; 0 if unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _storable(text: str) -> str:
    """Remove NUL and replace lone surrogates, which PostgreSQL cannot store."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
