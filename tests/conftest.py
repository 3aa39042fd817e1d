"""What every test may use. The servers behind the tests come from tests/services_fixture.py."""

import signal

import pytest

pytest.register_assert_rewrite("tests.trees.life", "tests.trees.lifecycle.model")
pytest_plugins = ["tests.services_fixture", "tests.cast"]


def pytest_configure() -> None:
    # What a script starts in the background is told to ignore Ctrl-C, and so would be all that the tests start and end.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers last: Playwright keeps an event loop in this thread, and Django then refuses async_to_sync."""
    items.sort(key=lambda item: "browser" in item.keywords)
