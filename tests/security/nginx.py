"""A real nginx on loopback ports, with a minimal configuration or with deploy/nginx.conf."""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.conf import settings

from oasst.embedded.processes import die_with_parent
from tests.crash.processes import wait_until

NAME = "oasst.example.org"
PROGRAM = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
SAMPLE = Path(settings.BASE_DIR) / "deploy" / "nginx.conf"
FRAME = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    gzip on;
    access_log {folder}/usual.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
BARE = """
server {{
    listen 127.0.0.1:{plain};
    location / {{ proxy_pass http://127.0.0.1:{site}; }}
}}
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """One nginx. `plain` is its port without TLS, `tls` the one with it."""

    def __init__(self, folder: Path, site: int, *, sample: bool = False, changes: dict[str, str] | None = None) -> None:
        if PROGRAM is None:
            pytest.skip("nginx is not installed: apt-get install nginx-light")
        folder.mkdir(parents=True)
        self.folder, self.sample = folder, sample
        self.plain, self.tls = free_ports(2)
        text = self._sample(site, changes or {}) if sample else BARE.format(plain=self.plain, site=site)
        (folder / "site.conf").write_text(text)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(FRAME.format(folder=folder, user=user))
        self.process = subprocess.Popen(
            [PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        wait_until(self._answers, 60, lambda: f"nginx does not listen: {self.said()}")

    def _sample(self, site: int, changes: dict[str, str]) -> str:
        """Return deploy/nginx.conf with our ports, certificate and log, and the changes that the test names."""
        certificate, key = make_certificate(self.folder)
        text = re.sub(r"\n *listen \[::\][^\n]*", "", SAMPLE.read_text())
        places = {
            "listen 80": f"listen 127.0.0.1:{self.plain}",
            "listen 443": f"listen 127.0.0.1:{self.tls}",
            "127.0.0.1:8000": f"127.0.0.1:{site}",
            f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(certificate),
            f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(key),
            "/var/log/nginx/oasst.log": str(self.folder / "access.log"),
            "/var/log/nginx/oasst-error.log": str(self.folder / "site-error.log"),
            **changes,
        }
        for old, new in places.items():
            assert old in text, f"deploy/nginx.conf has no {old}"
            text = text.replace(old, new)
        return text

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said()
        # The ports open one after the other.
        return all(listens(port) for port in ((self.plain, self.tls) if self.sample else (self.plain,)))

    def said(self) -> str:
        log = self.folder / "error.log"
        return log.read_text()[-4000:] if log.exists() else ""

    def logs(self) -> str:
        """Return everything that it wrote into any file."""
        return "".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def line(self, source: str = "127.0.0.1") -> socket.socket:
        """Connect from this loopback address; with the sample configuration under TLS and our name."""
        port = self.tls if self.sample else self.plain
        line = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        if not self.sample:
            return line
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        return context.wrap_socket(line, server_hostname=NAME)

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        form: dict[str, str] | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> "Answer":
        """Send one request. Headers by name, with _ for -."""
        sent = {"Host": NAME, **{name.replace("_", "-"): value for name, value in headers.items()}}
        body = urlencode(form) if form is not None else None
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(NAME, timeout=60)
        connection.sock = self.line(source)
        try:
            connection.request(method, path, body=body, headers=sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode(errors="replace")

    @property
    def cookies(self) -> dict[str, str]:
        """Return name → the whole cookie header."""
        return {one.partition("=")[0]: one for one in self.headers.get_all("Set-Cookie", [])}


def free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    name = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", *name, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return certificate, key
