"""The engine of this process, as the settings say, and the `Runtime` that feeds it."""

import fcntl
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from psycopg_pool import PoolTimeout

from inference.chats import offered_models
from inference.engine import fetching
from inference.engine.base import Engine, EngineError
from inference.policy import current_policy
from inference.turns.runtime import Runtime
from oasst.core.shutdown import on_shutdown

log = structlog.get_logger(__name__)

RETRY_SECONDS = 20


def open_engine() -> Engine:
    """Return the engine. Takes seconds to load a local model. Raise `EngineError` with what to do."""
    name = settings.OASST_CHAT_MODEL
    if settings.OASST_ENGINE == "remote":
        from inference.engine.remote import RemoteEngine

        return RemoteEngine(
            settings.ENGINE_URL,
            name,
            key=settings.ENGINE_KEY,
            slots=settings.ENGINE_SLOTS,
            context=settings.ENGINE_CONTEXT,
        )
    folder = fetching.folder_of(name, settings.OASST_HOME / "models")
    if not fetching.is_fetched(folder):
        raise EngineError(f"The chat model is not here: run `./manage.py fetch_model` (looked in {folder}).")
    from inference.engine import torch_engine

    engine = torch_engine.open_engine(
        folder,
        name=name,
        dtype=settings.ENGINE_DTYPE,
        threads=settings.ENGINE_THREADS,
        context=settings.ENGINE_CONTEXT,
        slots=settings.ENGINE_SLOTS,
        cache_tokens=settings.ENGINE_CACHE_TOKENS,
    )
    # The garbage collector skips the half a million objects of the model from now on. Else its pauses delay the pages,
    # and its last run delays the end of the process by seconds.
    gc.freeze()
    return engine


def needs_model() -> bool:
    """Return whether a model has to be fetched before this site can answer chats."""
    if settings.OASST_CHAT_MODEL == "none" or settings.OASST_ENGINE == "remote":
        return False
    try:
        return not fetching.is_fetched(fetching.folder_of(settings.OASST_CHAT_MODEL, settings.OASST_HOME / "models"))
    except EngineError:
        return True  # fetching reports the bad name


def start_in_web_process() -> None:
    """Answer chats from a thread of this web process. One process per home does; when it ends, another takes over."""
    _note_offer()
    if settings.OASST_CHAT_MODEL == "none" or settings.OASST_ENGINE == "worker":
        return
    inline = _Inline()
    on_shutdown(inline.stop)
    inline.thread.start()


def _note_offer() -> None:
    """The web server must start without a database too, so errors are only logged."""
    try:
        offered_models.note_offer()
    except (DatabaseError, PoolTimeout) as error:
        log.warning("offer_not_noted", reason=str(error))
    finally:
        connection.close()


class _Inline:
    def __init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="chat start", daemon=True)
        self._ended = threading.Event()
        self._runtime: Runtime | None = None

    def _run(self) -> None:
        with _file_lock(settings.ENGINE_LOCK) as acquire:
            while not acquire():
                if self._ended.wait(2):
                    return
            engine = self._open()
            if engine is None:
                return
            if self._ended.is_set():
                engine.close()
                return
            self._runtime = Runtime(engine, current_policy())
            self._runtime.start()
            log.info("chat_ready", model=engine.model)
            self._ended.wait()

    def _open(self) -> Engine | None:
        """Retry until the model is fetched. Return None when the process ends or after an unexpected error."""
        logged = ""
        while True:
            try:
                return open_engine()
            except EngineError as error:
                if str(error) != logged:
                    log.error("chat_has_no_engine", reason=str(error))
                logged = str(error)
            except Exception:
                log.exception("chat_has_no_engine")
                return None
            if self._ended.wait(RETRY_SECONDS):
                return None

    def stop(self) -> None:
        self._ended.set()
        if self._runtime is not None:
            self._runtime.stop()


@contextmanager
def _file_lock(path: Path) -> Iterator[Callable[[], bool]]:
    """Give a function that returns whether this process has the lock now. The kernel frees it with the process."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire() -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield acquire
    finally:
        os.close(file)
