"""Do the trainings that were asked for, in a process of its own. `up` runs it where OASST_TRAINING is on."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from django.db.utils import DatabaseError, InterfaceError
from psycopg_pool import PoolTimeout

from inference.models import TrainingRun
from inference.registry.models import register_done
from inference.runs import environment, leases, signs
from oasst.embedded.commands import ServiceCommand

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
"""Between two looks at the queue."""


class Command(ServiceCommand):
    help = (
        "Do the trainings that `./manage.py train` asks for, one after the other, until SIGTERM; run one of these on "
        "each machine that trains. A training goes on from its last checkpoint if its process is killed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when nothing waits any more")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.OASST_TRAINING:
            raise CommandError("Training is off on this site. Set OASST_TRAINING=on to turn it on.")
        if missing := environment.missing_in_words():
            raise CommandError(missing)
        stopping = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stopping.set())
        environment.step_back()
        self._say("Waiting for trainings." if not options["once"] else "Doing the trainings that wait.")
        self._loop(leases.new_owner(), stopping, once=options["once"])

    def _loop(self, owner: str, stopping: threading.Event, *, once: bool) -> None:
        from inference.runs import working  # needs the packages that were looked for

        while not stopping.is_set():
            try:
                signs.note_alive()
                if run := leases.claim(owner):
                    self._say(f"{run}: begins at step {run.step}.")
                    run = working.work(run, owner=owner, must_stop=stopping.is_set)
                    register_done(run)
                    self._say(_ended(run))
                    continue
            except (DatabaseError, InterfaceError, PoolTimeout) as error:
                log.warning("trainer_database_away", reason=str(error))
            else:
                if once:
                    return
            connection.close()
            stopping.wait(LOOK_SECONDS)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _ended(run: TrainingRun) -> str:
    match run.state:
        case TrainingRun.State.DONE:
            return f"{run}: done, in {run.folder}."
        case TrainingRun.State.FAILED:
            return f"{run}: failed at step {run.step}. {run.error}"
        case TrainingRun.State.STOPPED:
            return f"{run}: stopped at step {run.step}."
        case _:
            return f"{run}: interrupted at step {run.step}; it goes on from its checkpoint."
