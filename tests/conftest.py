"""Fixtures for all tests. The servers behind them come from tests/services_fixture.py."""

import os
import signal
from typing import Any

import pytest
from django.core.signals import setting_changed
from django.db import close_old_connections
from django.dispatch import receiver

# The tests compute with small arrays. Several BLAS threads would mostly wait for each other, ten times as long where
# other tests run beside. NumPy reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

pytest.register_assert_rewrite("tests.trees.life", "tests.trees.lifecycle.model")
pytest_plugins = ["tests.services_fixture", "tests.cast"]


def pytest_configure() -> None:
    # A script's background process ignores Ctrl-C, and so would all processes that the tests start and stop.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@receiver(setting_changed)
def forget_policies(*, setting: str, **kwargs: Any) -> None:
    """Let a test that changes a policy see it, and the next test its own: a process remembers them."""
    from inference import policy as chats
    from trees.policies import reading as trees

    if setting == "TREE_POLICY":
        trees.remember(trees.StoredRules(), seconds=3600)
    elif setting == "CHAT_POLICY":
        chats.current_policy.cache_clear()


@pytest.fixture(autouse=True)
def default_site_settings() -> None:
    """Begin each test with the default site settings, known without a statement. A committed change replaces them."""
    from oasst.accounts.site_settings import reading

    reading.remember(reading.CurrentSettings(), seconds=3600)


@pytest.fixture(autouse=True)
def no_staged_models() -> None:
    """Begin each test without models that an administrator offers, known without a statement."""
    from inference.registry import offer

    offer.remember([], seconds=3600)


@pytest.fixture(autouse=True)
def default_rules_of_trees() -> None:
    """Begin each test with the rules that settings.TREE_POLICY has, known without a statement."""
    from trees.policies import reading

    reading.remember(reading.StoredRules(), seconds=3600)


@pytest.fixture
def threads_close_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads of sockets give their connections back, as on a running site. Channels leaves them open in its tests,
    for tests that live in one transaction; on a busy machine, with many threads, the pool is soon empty.
    """
    monkeypatch.setattr("channels.testing.application.no_op", close_old_connections)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave journeys out unless they are asked for, and run browser tests last: Playwright keeps an event loop in this
    thread, and Django then refuses async_to_sync.
    """
    if "journey" not in config.option.markexpr:
        journeys = [item for item in items if "journey" in item.keywords]
        config.hook.pytest_deselected(items=journeys)
        items[:] = [item for item in items if item not in journeys]
    items.sort(key=lambda item: "browser" in item.keywords)
