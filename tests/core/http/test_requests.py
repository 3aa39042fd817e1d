"""Who sent a request, and where it may be redirected."""

from typing import Any

import pytest
from django.test import RequestFactory

from oasst.core.http.requests import client_address, is_surely_remote, row_id, safe_next


def request(path: str = "/", **meta: str) -> Any:
    return RequestFactory(**meta).get(path)


class TestClientAddress:
    @pytest.mark.parametrize(
        ("peer", "address"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("", "unknown"),
            ("nonsense", "unknown"),
        ],
    )
    def test_the_peer(self, peer: str, address: str) -> None:
        assert client_address(request(REMOTE_ADDR=peer)) == address

    def test_nobody_may_say_who_they_are(self) -> None:
        assert client_address(request(REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="1.2.3.4")) == "192.0.2.7"

    @pytest.mark.parametrize(
        ("proxies", "forwarded", "address"),
        [
            (1, "198.51.100.1", "198.51.100.1"),
            (1, "1.2.3.4, 198.51.100.1", "198.51.100.1"),
            (2, "1.2.3.4, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
            (2, "198.51.100.1", "10.0.0.9"),
            (1, "1.2.3.4, nonsense", "unknown"),
        ],
    )
    def test_but_our_proxies_may(self, settings: Any, proxies: int, forwarded: str, address: str) -> None:
        settings.TRUSTED_PROXIES = proxies
        assert client_address(request(REMOTE_ADDR="10.0.0.9", HTTP_X_FORWARDED_FOR=forwarded)) == address


class TestComesFromElsewhere:
    """Only a reason to refuse: any other request may still come from anywhere."""

    @pytest.mark.parametrize(
        "meta",
        [
            {"REMOTE_ADDR": "192.0.2.7"},
            {"REMOTE_ADDR": ""},
            {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
            {"HTTP_X_FORWARDED_PROTO": "https"},
            {"HTTP_X_FORWARDED_SERVER": "apache"},
            {"HTTP_X_REAL_IP": "127.0.0.1"},
            {"HTTP_FORWARDED": "for=127.0.0.1"},
            {"HTTP_VIA": "1.1 proxy"},
            {"HTTP_CF_CONNECTING_IP": "127.0.0.1"},
            {"HTTP_SEC_FETCH_SITE": "cross-site"},
        ],
    )
    def test_surely(self, meta: dict[str, str]) -> None:
        assert is_surely_remote(request(**{"REMOTE_ADDR": "127.0.0.1", **meta}))

    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
    def test_perhaps_not(self, peer: str) -> None:
        assert not is_surely_remote(request(REMOTE_ADDR=peer, HTTP_SEC_FETCH_SITE="same-origin"))


class TestSafeNext:
    @pytest.mark.parametrize("target", ["/me/", "/me/?a=1#b", "http://testserver/me/"])
    def test_pages_of_ours(self, target: str) -> None:
        assert safe_next(RequestFactory().get("/", {"next": target}), "/default/") == target

    @pytest.mark.parametrize(
        "target", ["", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\x00/me/"]
    )
    def test_nowhere_else(self, target: str) -> None:
        assert safe_next(RequestFactory().get("/", {"next": target}), "/default/") == "/default/"


@pytest.mark.parametrize(
    ("sent", "found"),
    [("7", 7), ("0", 0), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("", None), ("-1", None), ("²", None), ("٣", None)],
)
def test_numbers_of_rows(sent: str, found: int | None) -> None:
    assert row_id(sent) == found
