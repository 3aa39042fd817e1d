"""Fixtures for all tests. The servers behind them come from tests/services_fixture.py."""

import signal

import pytest

pytest.register_assert_rewrite("tests.trees.life", "tests.trees.lifecycle.model")
pytest_plugins = ["tests.services_fixture", "tests.cast"]


def pytest_configure() -> None:
    # A script's background process ignores Ctrl-C, and so would all processes that the tests start and stop.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last: Playwright keeps an event loop in this thread, and Django then refuses async_to_sync."""
    items.sort(key=lambda item: "browser" in item.keywords)
