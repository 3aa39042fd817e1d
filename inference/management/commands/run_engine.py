"""Run an engine in its own process, for OASST_ENGINE=worker."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from inference.engine.base import EngineError
from inference.turns.local_engine import open_models
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Answer chats until SIGTERM. Set OASST_ENGINE=worker so that the web server does not; run as many of these as "
        "there are machines or GPUs. If one is killed, another continues its answers."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.OASST_CHAT_MODEL == "none":
            raise CommandError("OASST_CHAT_MODEL is none: chat is off.")
        stopping = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stopping.set())
        models = open_models()
        try:
            name = models.load_default()
        except EngineError as error:
            raise CommandError(str(error)) from error
        models.start()
        self.stdout.write(f"Answering with {name}.")
        self.stdout.flush()
        while not stopping.wait(1):
            if not models.alive:
                raise CommandError("The runtime has stopped unexpectedly. The log above has the reason.")
        models.stop()
