"""An engine in a process of its own, for OASST_ENGINE=worker."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from inference.engine.base import EngineError
from inference.policy import current_policy
from inference.turns.local_engine import open_engine
from inference.turns.runtime import Runtime
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Answer chats until SIGTERM. Set OASST_ENGINE=worker so that the web server does not; run as many of these as "
        "there are machines or GPUs. A killed one loses nothing: another takes over what it was writing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.OASST_CHAT_MODEL == "none":
            raise CommandError("OASST_CHAT_MODEL is none: chat is off.")
        ended = threading.Event()
        for how in (signal.SIGTERM, signal.SIGINT):
            signal.signal(how, lambda *_: ended.set())
        try:
            engine = open_engine()
        except EngineError as error:
            raise CommandError(str(error)) from error
        runtime = Runtime(engine, current_policy())
        runtime.start()
        self.stdout.write(f"Answering with {engine.model}.")
        self.stdout.flush()
        while not ended.wait(1):
            if not runtime.alive:
                raise CommandError("The runtime has ended by itself; the reason stands in the log above.")
        runtime.stop()
