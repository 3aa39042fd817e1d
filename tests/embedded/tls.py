"""A loopback proxy that speaks TLS in front of a unix socket, with a certificate of its own authority."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Greeting = Callable[[socket.socket], None]


@dataclass(frozen=True)
class TlsServer:
    port: int
    authority: Path
    """The certificate that a client must trust."""
    stranger: Path
    """A certificate that signed nothing here."""
    seen: list[str | None]
    """The TLS version of each connection."""


@contextmanager
def tls_in_front_of(path: str, folder: Path, greeting: Greeting = lambda _: None) -> Iterator[TlsServer]:
    """greeting(connection) does what the protocol does in plain text before TLS begins."""
    authority, chain = _certificates(folder / "ours")
    stranger, _ = _certificates(folder / "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    listener = socket.create_server(("127.0.0.1", 0))
    server = TlsServer(listener.getsockname()[1], authority, stranger, [])

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            greeting(connection)
            with context.wrap_socket(connection, server_side=True) as outer, socket.socket(socket.AF_UNIX) as inner:
                server.seen.append(outer.version())
                inner.connect(path)
                back = threading.Thread(target=copy, args=(inner, outer), daemon=True)
                back.start()
                copy(outer, inner)
                back.join(60)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def postgres_greeting(connection: socket.socket) -> None:
    """A client of PostgreSQL requests TLS by a first packet, and gets S."""
    connection.recv(8)
    connection.sendall(b"S")


def _certificates(folder: Path) -> tuple[Path, Path]:
    """An authority, and a key with a certificate for localhost that it signed."""
    folder.mkdir()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Authority of {folder.name}")])
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        begun = x509.CertificateBuilder(signer, subject, key.public_key(), x509.random_serial_number())
        begun = begun.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        begun = begun.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        begun = begun if ca else begun.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return begun.sign(keys[0], hashes.SHA256())

    pem = serialization.Encoding.PEM
    authority, chain = folder / "authority.pem", folder / "chain.pem"
    authority.write_bytes(certificate(signer, keys[0], ca=True).public_bytes(pem))
    private = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + certificate(name, keys[1], ca=False).public_bytes(pem))
    return authority, chain
