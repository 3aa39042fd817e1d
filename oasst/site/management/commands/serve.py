"""The web server."""

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
        "of your own. SIGTERM lets requests in work finish."
    )

    # It serves without tables too: /readyz says what is missing.
    needs_tables = False

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
            help="serve on this listening socket instead, which whoever starts this process opened and keeps open",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from oasst import web  # late: importing it installs the reactor

        # What is loaded by now stays, and requests leave few cycles: looking for them took a fortieth of the time.
        gc.freeze()
        gc.set_threshold(10_000)
        local_engine.start_beside_requests()
        if options["fd"] is not None:
            web.serve(options["fd"])
            return
        try:
            listener = listen(options["bind"], options["port"])
        except OSError as error:
            raise CommandError(f"Can not listen on {options['bind']}:{options['port']}: {error.strerror}") from error
        self.stdout.write(f"Serving on http://{options['bind']}:{options['port']}")
        web.serve(listener.fileno())
