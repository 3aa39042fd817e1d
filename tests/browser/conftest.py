"""Chromium against a live server. Screenshots are kept in $OASST_HOME/screenshots for people to look at."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

# Playwright's event loop runs in this thread, and Django would refuse database access because of it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

expect.set_options(
    timeout=30_000
)  # milliseconds: a page of a busy machine takes longer than the five seconds otherwise

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def small_trees(settings: Any) -> None:
    """Trees that four people can finish: a prompt, two answers, one follow-up."""
    settings.TREE_POLICY = {
        "goal_tree_size": 4,
        "max_children_count": 2,
        "max_tree_depth": 2,
        "num_required_rankings": 2,
        "max_active_trees": 1,
        "max_initial_prompt_review": 1,
    }
    settings.RATE_LIMITS = False


NewVisitor = Callable[..., Page]


@pytest.fixture
def visitor(browser: Browser, live_server: Any) -> Iterator[NewVisitor]:
    """visitor(script=False, dark=True, viewport=PHONE): a page in a new browser profile; relative URLs work."""
    contexts: list[BrowserContext] = []

    def new(*, script: bool = True, dark: bool = False, viewport: dict[str, int] = DESK) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            viewport=viewport,  # type: ignore[arg-type]
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        return context.new_page()

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def keep() -> Callable[[Page, str], None]:
    """keep(page, "dashboard-dark") saves a screenshot."""
    folder = Path(settings.OASST_HOME) / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take
