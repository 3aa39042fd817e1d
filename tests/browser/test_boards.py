"""The leaderboard in one browser follows what another user does, through a real queue and worker."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESK, PHONE
from tests.browser.driver import do_task, sign_in, take_any_task
from tests.crash.processes import Site

FRESH = 5  # seconds after which everybody must see an act on the boards
pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.end()


def visitor(browser: Browser, site: Site, **options: Any) -> Page:
    return browser.new_context(base_url=site.url.replace("127.0.0.1", "localhost"), **options).new_page()


def test_others_see_what_somebody_did_within_seconds(browser: Browser, site: Site, keep: Any) -> None:
    alice = visitor(browser, site, viewport=DESK, java_script_enabled=False)
    bob = visitor(browser, site, viewport=PHONE, color_scheme="dark")
    sign_in(alice, "alice@example.org")
    sign_in(bob, "bob@example.org")
    bob.goto("/leaderboard/")
    expect(bob.get_by_test_id("empty")).to_be_visible()

    for _ in range(10):  # ten prompts are one point
        assert take_any_task(alice)
        do_task(alice)
    end = time.monotonic() + FRESH
    while time.monotonic() < end:
        bob.goto("/leaderboard/")
        if bob.get_by_role("row").count() > 1:
            break
    expect(bob.get_by_role("row").nth(1)).to_contain_text(re.compile(r"1\s"))
    keep(bob, "board-dark-phone")
    alice.goto("/leaderboard/")
    expect(alice.get_by_role("row").filter(has_text="you")).to_have_count(1)
    keep(alice, "board-light")
    assert bob.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
