"""The engines of this process, as the settings say, and what feeds them."""

import fcntl
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from psycopg_pool import PoolTimeout

from inference.engine import fetching, weights
from inference.engine.base import Engine, EngineError
from inference.folders import folder_of
from inference.policy import current_policy
from inference.registry import offer
from inference.turns.models_in_memory import ModelsInMemory, NotFetched
from oasst.core.shutdown import on_shutdown

log = structlog.get_logger(__name__)


def open_models() -> ModelsInMemory:
    """Return what answers chats in this process. It loads models when it is started."""
    is_remote = settings.OASST_ENGINE == "remote"
    return ModelsInMemory(
        open_engine,
        current_policy(),
        at_most=sys.maxsize if is_remote else settings.ENGINE_MODELS,
        shortage=(lambda name: "") if is_remote else _shortage,
    )


def open_engine(name: str) -> Engine:
    """Return an engine with this model. Takes seconds for a local one. Raise `EngineError` with what to do."""
    if settings.OASST_ENGINE == "remote":
        from inference.engine.remote import RemoteEngine

        return RemoteEngine(
            settings.ENGINE_URL,
            name,
            key=settings.ENGINE_KEY,
            slots=settings.ENGINE_SLOTS,
            context=settings.ENGINE_CONTEXT,
        )
    folder = folder_of(name)
    if not fetching.is_fetched(folder):
        raise NotFetched(f"The chat model is not here: run `./manage.py fetch_model {name}` (looked in {folder}).")
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


def _shortage(name: str) -> str:
    """Return why there is no memory for the model, or an empty string. Files that cannot be read fail later."""
    from inference.engine import loading

    free = weights.available_memory()
    folder = folder_of(name)
    if free is None or not fetching.is_fetched(folder) or loading.uses_gpu():
        return ""
    try:
        needed = weights.read_size(folder).memory(settings.ENGINE_DTYPE, settings.ENGINE_CACHE_TOKENS)
    except EngineError:
        return ""
    if needed <= free:
        return ""
    return (
        f"The model {name} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free. A smaller "
        "ENGINE_CACHE_TOKENS or ENGINE_DTYPE=bfloat16 takes less."
    )


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
        offer.note_offer()
    except (DatabaseError, PoolTimeout) as error:
        log.warning("offer_not_noted", reason=str(error))
    finally:
        connection.close()


class _Inline:
    def __init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="chat start", daemon=True)
        self._ended = threading.Event()
        self._models: ModelsInMemory | None = None

    def _run(self) -> None:
        with _file_lock(settings.ENGINE_LOCK) as acquire:
            while not acquire():
                if self._ended.wait(2):
                    return
            self._models = open_models()
            self._models.start()
            self._ended.wait()

    def stop(self) -> None:
        self._ended.set()
        if self._models is not None:
            self._models.stop()


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
