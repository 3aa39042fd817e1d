"""Made-up data for a whole module: filled once, in a transaction that is rolled back at the end."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from oasst.simulation.scale.fill import fill
from trees.lifecycle.policy import TreePolicy

POLICY = TreePolicy()
Site = Callable[[int, int], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: Any) -> Site:
    """Inside `with site(trees, active):` the database holds this many trees; afterwards none."""

    @contextmanager
    def made(trees: int, active: int) -> Iterator[None]:
        with django_db_blocker.unblock(), undone():
            fill(trees=trees, active=active, seed=1, policy=POLICY, now=timezone.now())
            connection.check_constraints()  # otherwise each test would check every row again at its end
            yield

    return made


@contextmanager
def undone() -> Iterator[None]:
    """Roll back what happens inside."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # allows durable transactions inside, as in a test case
    with block:
        yield
        transaction.set_rollback(True)
