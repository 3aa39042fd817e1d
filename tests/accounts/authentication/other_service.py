"""A local OAuth 2 server that stands in for Google, Discord and GitHub: consent, token, profile."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.discord.views import DiscordOAuth2Adapter
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from django.conf import settings
from django.test import override_settings

from tests.accounts.authentication.provider_urls import PROVIDERS

CLIENT_ID, SECRET = "our-id", "our-secret"


@dataclass
class OtherService:
    """The user who is signed in at the provider, and the requests of this site."""

    url: str = ""
    email: str = "dora@example.org"
    verified: bool = True
    uid: str = "7"
    asked: list[dict[str, str]] = field(default_factory=list)

    def profile(self) -> dict[str, Any]:
        """One profile with the different field names of Google, Discord and GitHub."""
        named = {"id": self.uid, "login": "dora", "username": "dora", "given_name": "Dora"}
        return {**named, "email": self.email, "verified": self.verified, "verified_email": self.verified}

    def id_token(self) -> str:
        """An ID token like Google's. Its signature is not checked if it came over our own connection."""
        claims = {"iss": "https://accounts.google.com", "aud": CLIENT_ID, "sub": self.uid, "exp": 4_000_000_000}
        claims |= {"iat": 1, "email": self.email, "email_verified": self.verified, "given_name": "Dora"}
        return jwt.encode(claims, "x" * 32)


def _handler(service: OtherService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                service.asked.append(query)
                back = f"{query['redirect_uri']}?"
                yes = back + urlencode({"code": "let-me-in", "state": query["state"]})
                no = back + urlencode({"error": "access_denied", "state": query["state"]})
                page = f'<h1>Consent</h1><a href="{yes}">Allow</a> <a href="{no}">Refuse</a>'.replace("&", "&amp;")
                self.answer(page.encode(), "text/html")
            elif parts.path == "/emails":
                email = {"email": service.email, "primary": True, "verified": service.verified}
                self.answer(json.dumps([email]).encode())
            else:
                self.answer(json.dumps(service.profile()).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            token = {"access_token": "good", "token_type": "Bearer"}
            if self.path == "/google/token":
                token["id_token"] = service.id_token()
            self.answer(json.dumps(token).encode())

        def answer(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def other_service(patch: Callable[[type, str, str], None]) -> Iterator[OtherService]:
    """The server, with all three providers pointing to it. `patch` sets attributes until the test ends."""
    service = OtherService()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    service.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    for adapter in (GoogleOAuth2Adapter, DiscordOAuth2Adapter, GitHubOAuth2Adapter):
        patch(adapter, "authorize_url", f"{service.url}/authorize")
        patch(adapter, "access_token_url", f"{service.url}/{adapter.provider_id}/token")
    patch(DiscordOAuth2Adapter, "profile_url", f"{service.url}/me")
    patch(GitHubOAuth2Adapter, "profile_url", f"{service.url}/me")
    patch(GitHubOAuth2Adapter, "emails_url", f"{service.url}/emails")
    provider = {"APPS": [{"client_id": CLIENT_ID, "secret": SECRET}], "EMAIL_AUTHENTICATION": True}
    apps = [*settings.INSTALLED_APPS, *(f"allauth.socialaccount.providers.{name}" for name in PROVIDERS)]
    with override_settings(
        INSTALLED_APPS=apps,
        SOCIALACCOUNT_PROVIDERS=dict.fromkeys(PROVIDERS, provider),
        ROOT_URLCONF="tests.accounts.authentication.provider_urls",
    ):
        registry.loaded = False
        registry.load()
        yield service
    for name in PROVIDERS:
        registry.provider_map.pop(name, None)
    server.shutdown()
    server.server_close()
