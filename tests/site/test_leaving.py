"""The page before a foreign site: it shows where a link leads, and never goes there by itself."""

import pytest
from django.test import Client


def test_it_shows_the_address_and_a_link() -> None:
    response = Client().get("/leaving/", {"to": "https://example.org/a?b=c&d"})
    html = response.content.decode()
    assert response.status_code == 200
    assert 'href="https://example.org/a?b=c&amp;d" rel="noopener noreferrer nofollow ugc"' in html
    assert "http-equiv" not in html and response.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_a_user_name_that_poses_as_a_site() -> None:
    html = Client().get("/leaving/", {"to": "https://bank.example@evil.example/"}).content.decode()
    assert ">evil.example</strong>" in html and "made to look like one" in html


@pytest.mark.parametrize(
    "to", ["", "javascript:alert(1)", "//evil.example", "/dashboard/", "data:text/html,x", "x" * 3000]
)
def test_what_is_no_address_is_refused(to: str) -> None:
    response = Client().get("/leaving/", {"to": to})
    assert response.status_code == 400
    assert 'href="javascript' not in response.content.decode()
