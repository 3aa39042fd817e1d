"""The engine of this process, by the settings; and the one `Runtime` that feeds it."""

import fcntl
import gc
import os
import threading
from pathlib import Path
from typing import Any

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
    """Takes seconds where the model is loaded here. Raises `EngineError` with what to do."""
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
    if not fetching.is_here(folder):
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
    # The model and its library are half a million objects that stay. The collector need not look at them again: its
    # pauses would delay the pages, and its last round the end of the process by seconds.
    gc.freeze()
    return engine


def needs_model() -> bool:
    """Whether a model has to be fetched before chats can be answered here."""
    if settings.OASST_CHAT_MODEL == "none" or settings.OASST_ENGINE == "remote":
        return False
    try:
        return not fetching.is_here(fetching.folder_of(settings.OASST_CHAT_MODEL, settings.OASST_HOME / "models"))
    except EngineError:
        return True  # a name that is none: fetching says so


def start_beside_requests() -> None:
    """In a web process: load the model in a thread and answer from it until the process ends.

    Of several web processes on one home one does, the first; when it ends, another one.
    """
    _note_offer()
    if settings.OASST_CHAT_MODEL == "none" or settings.OASST_ENGINE == "worker":
        return
    inline = _Inline()
    on_shutdown(inline.stop)
    inline.thread.start()


def _note_offer() -> None:
    """Not worth failing for: the server starts without tables and without a database too, and says what is missing."""
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
        with OnlyOne(settings.ENGINE_LOCK) as lock:
            while not lock.taken():
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
        """Again and again: somebody may fetch the model meanwhile. None when the process ends."""
        said = ""
        while True:
            try:
                return open_engine()
            except EngineError as error:
                if str(error) != said:
                    log.error("chat_has_no_engine", reason=str(error))
                said = str(error)
            except Exception:
                log.exception("chat_has_no_engine")
                return None
            if self._ended.wait(RETRY_SECONDS):
                return None

    def stop(self) -> None:
        self._ended.set()
        if self._runtime is not None:
            self._runtime.stop()


class OnlyOne:
    """A file lock that the kernel lets go of however its process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "OnlyOne":
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self

    def taken(self) -> bool:
        """Whether the lock is ours now."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *_: Any) -> None:
        os.close(self._file)
