"""A mail server on this machine that keeps what it gets, so that a journey can read its mail."""

import re
import socketserver
import threading
from email import message_from_string, policy
from types import TracebackType
from typing import Self

from tests.crash.processes import wait_until


class MailCatcher:
    """As much of SMTP as Django's backend speaks. `with MailCatcher() as mails: … mails.newest("a@example.org")`."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []
        keeper = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                keeper._talk(self)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self.server.daemon_threads = True
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _talk(self, session: socketserver.StreamRequestHandler) -> None:
        def say(line: str) -> None:
            session.wfile.write(f"{line}\r\n".encode())

        say("220 catcher")
        to = ""
        while line := session.rfile.readline().decode():
            word = line[:4].upper()
            if word == "RCPT":
                to = re.findall(r"<(.+?)>", line)[0]
            if word == "DATA":
                say("354 go on")
                lines = list(iter(lambda: session.rfile.readline().decode(), ".\r\n"))
                self.mails.append((to, "".join(lines)))
            say("221 bye" if word == "QUIT" else "250 fine")
            if word == "QUIT":
                return

    def newest(self, address: str, number: int = 1) -> str:
        """Return the text of the newest mail to this address, as soon as there are so many."""
        wait_until(lambda: sum(to == address for to, _ in self.mails) >= number, 60, lambda: f"no mail: {self.mails}")
        raw = [text for to, text in self.mails if to == address][-1]
        body = message_from_string(raw, policy=policy.default).get_body(("plain",))  # type: ignore[attr-defined]
        return str(body.get_content()).replace("\r\n", "\n")
