"""Made data for a whole module: filled once, in a transaction that is rolled back at the end."""

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
    """`with site(trees, active):` the database holds so many trees; afterwards none."""

    @contextmanager
    def made(trees: int, active: int) -> Iterator[None]:
        with django_db_blocker.unblock(), undone():
            fill(trees=trees, active=active, seed=1, policy=POLICY, now=timezone.now())
            connection.check_constraints()  # else each test would end by checking every row again
            yield

    return made


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside did not happen."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # services that have to be outermost take it for a test case
    with block:
        yield
        transaction.set_rollback(True)
