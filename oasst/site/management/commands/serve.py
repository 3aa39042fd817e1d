"""manage.py serve: the web server."""

import gc
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from inference.turns import local_engine
from oasst.embedded.commands import ServiceCommand
from oasst.embedded.sockets import listen


class Command(ServiceCommand):
    help = (
        "Serve the site on PORT (HTTP and WebSocket). `up` runs this for you; run it alone behind a process manager "
        "of your own. After SIGTERM it finishes requests in progress."
    )

    needs_tables = False  # /readyz says what is missing

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: PORT (%(default)s)")
        parser.add_argument(
            "--bind",
            default=settings.BIND_ADDRESS,
            help="address to listen on; default: BIND_ADDRESS (%(default)s)",
        )
        parser.add_argument(
            "--fd",
            type=int,
            help="serve on this listening socket instead, which the parent process opened and keeps open",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from oasst import web  # late: importing it installs the reactor

        # What is loaded now stays, and requests leave few reference cycles: with the defaults, collecting took 1/40 of
        # the time.
        gc.freeze()
        gc.set_threshold(10_000)
        local_engine.start_in_web_process()
        if options["fd"] is not None:
            web.serve(options["fd"])
            return
        try:
            listener = listen(options["bind"], options["port"])
        except OSError as error:
            raise CommandError(f"Cannot listen on {options['bind']}:{options['port']}: {error.strerror}") from error
        self.stdout.write(f"Serving on http://{options['bind']}:{options['port']}")
        web.serve(listener.fileno())
