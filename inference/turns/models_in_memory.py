"""The models that this process has in memory, each with an engine and a `Runtime` of its own.

The default model is there from the start and stays. Others are loaded when a question waits for them, and the one that
was used longest ago gives its place to the next. Loading happens in a thread of its own, so answers go on meanwhile.
"""

import contextlib
import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import connection
from redis.exceptions import RedisError

from inference.engine.base import Engine, EngineError, Finish
from inference.policy import ChatPolicy
from inference.registry import offer
from inference.turns import lifecycle, status
from inference.turns.lifecycle import Ending
from inference.turns.runtime import DATABASE_AWAY, Runtime
from inference.turns.states import TurnState

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
RETRY_SECONDS = 20.0
"""A model that could not be loaded is tried again after this time, if somebody still waits for it."""
RESIDENCE_SECONDS = 20.0
"""A model that is in use stays at least so long, however many wait for another one: loading takes seconds."""

OpenEngine = Callable[[str], Engine]
"""Loads the model of this name. Takes seconds. Raises `EngineError` with what to do."""


class NoRoom(EngineError):
    """The memory does not suffice."""


class NotFetched(EngineError):
    """The files of the model are not here."""


@dataclass
class _Loaded:
    runtime: Runtime
    loaded_at: float


@dataclass
class _Failure:
    reason: str
    retry_at: float
    ending: Ending | None
    """How its turns end; None if they wait."""


@dataclass
class _Wishes:
    """What a look at the queue found."""

    default: str
    waited_for: list[str] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys([*([self.default] if self.default else []), *self.waited_for]))


class ModelsInMemory:
    """Answers the turns of all models between `start` and `stop`. Its state belongs to its thread."""

    def __init__(
        self,
        open_engine: OpenEngine,
        policy: ChatPolicy,
        *,
        at_most: int,
        shortage: Callable[[str], str] = lambda name: "",
    ) -> None:
        """`at_most` models are kept at once. `shortage` says why there is no memory for a model, or nothing."""
        self._open_engine = open_engine
        self._policy = policy
        self._at_most = at_most
        self._shortage = shortage
        self._loaded: dict[str, _Loaded] = {}
        self._failures: dict[str, _Failure] = {}
        self._lock = threading.Lock()  # stopping, or adding one
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chat models", daemon=True)

    def load_default(self) -> str:
        """Load the default model and return its name. For before `start`. Raise EngineError."""
        name = offer.default_model()
        self._begin(name, self._open_engine(name))
        return name

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return unfinished answers to the queue and stop all engines."""
        with self._lock:
            self._stopping.set()
            loaded = list(self._loaded.values())
        for one in loaded:
            one.runtime.stop()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and all(loaded.runtime.alive for loaded in list(self._loaded.values()))

    @property
    def names(self) -> list[str]:
        """The models in memory."""
        return list(self._loaded)

    # The thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except DATABASE_AWAY as error:
                log.warning("chat_database_away", reason=str(error))
            except Exception:
                log.exception("chat_models_stumbled")
            finally:
                connection.close()
            self._stopping.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Look what is waited for, and load, unload or give up models accordingly."""
        wishes = _Wishes(offer.default_model(), lifecycle.models_waited_for())
        missing = [name for name in wishes.models if name not in self._loaded]
        if not missing:
            for loaded in self._loaded.values():
                loaded.runtime.drain(False)
        for name in missing:
            self._load_or_fail(name, wishes)

    def _load_or_fail(self, name: str, wishes: _Wishes) -> None:
        failure = self._failures.get(name)
        if failure is None or time.monotonic() >= failure.retry_at:
            try:
                if not self._has_place(name, wishes):
                    return  # another model ends its answers first
                self._begin(name, self._open_engine(name))
                self._failures.pop(name, None)
                return
            except DATABASE_AWAY:
                raise
            except Exception as error:
                failure = self._failed(name, error)
        if failure.ending is not None and name in wishes.waited_for and not _is_served_elsewhere(name):
            lifecycle.fail_waiting(name, failure.ending)

    def _begin(self, name: str, engine: Engine) -> None:
        with self._lock:
            if self._stopping.is_set():  # while it was loaded
                engine.close()
                return
            self._loaded[name] = _Loaded(Runtime(engine, self._policy), time.monotonic())
            self._loaded[name].runtime.start()
        log.info("chat_ready", model=name)

    def _failed(self, name: str, error: Exception) -> _Failure:
        """Log the reason, and return how the turns of this model end."""
        reason = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
        known = self._failures.get(name)
        if known is None or known.reason != reason:
            log.error("chat_has_no_engine", model=name, reason=reason, exc_info=not isinstance(error, EngineError))
        # A new site may be fetching the model of its settings.
        waits = isinstance(error, NotFetched) and name == settings.OASST_CHAT_MODEL
        failure = _Failure(reason, time.monotonic() + RETRY_SECONDS, None if waits else _ending(name, error))
        self._failures[name] = failure
        return failure

    # Room for models

    def _has_place(self, name: str, wishes: _Wishes) -> bool:
        """Make room. Return False if that takes until answers of another model have ended. Raise NoRoom."""
        while True:
            is_full = len(self._loaded) >= self._at_most
            shortage = self._shortage(name)
            if not is_full and not shortage:
                return True
            if victim := self._idle(wishes):
                self._unload(victim)
                continue
            if self._drain(wishes):
                return False
            if is_full:
                return False  # until RESIDENCE_SECONDS are over
            raise NoRoom(shortage)

    def _idle(self, wishes: _Wishes) -> str:
        """Return the model that was used longest ago, of those that nobody uses; or an empty string."""
        free = [
            (loaded.runtime.used_at, name)
            for name, loaded in self._loaded.items()
            if name != wishes.default
            and not loaded.runtime.busy
            and (loaded.runtime.is_draining or name not in wishes.waited_for)
        ]
        return min(free)[1] if free else ""

    def _drain(self, wishes: _Wishes) -> bool:
        """Let a model in use end its answers and begin no more. Return whether there is one."""
        others = [(one.loaded_at, name) for name, one in self._loaded.items() if name != wishes.default]
        if not others:
            return False
        if any(self._loaded[name].runtime.is_draining for _, name in others):
            return True
        loaded_at, oldest = min(others)
        if time.monotonic() - loaded_at >= RESIDENCE_SECONDS:
            self._loaded[oldest].runtime.drain(True)
        return True

    def _unload(self, name: str) -> None:
        self._loaded.pop(name).runtime.stop()
        # `local_engine.open_engine` hid the objects of the model from the collector.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        log.info("chat_model_unloaded", model=name)


def _is_served_elsewhere(name: str) -> bool:
    """Return whether another process has an engine with this model."""
    with contextlib.suppress(RedisError):
        return any(engine.model == name for engine in status.engines())
    return False


def _ending(name: str, error: Exception) -> Ending:
    shown = name.rpartition("/")[2][:100]
    why = "it needs more memory than this machine has free" if isinstance(error, NoRoom) else "it could not be started"
    text = f"The model {shown} cannot answer now: {why}. Choose another model, or ask again later."
    return Ending(TurnState.FAILED, Finish.FAILED, "model_not_loaded", text)
