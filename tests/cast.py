"""The users of most tests: Alice writes, Bob reviews, Carol ranks, Mo moderates, Eve is a stranger."""

from collections.abc import Callable

import pytest

from oasst.accounts.models import User
from tests.factories import new_person
from trees.lifecycle.policy import TreePolicy

NewPerson = Callable[..., User]


@pytest.fixture
def people(db: None) -> NewPerson:
    """people("Dora") creates another contributor."""
    return new_person


@pytest.fixture
def alice(db: None) -> User:
    return new_person("Alice")


@pytest.fixture
def bob(db: None) -> User:
    return new_person("Bob")


@pytest.fixture
def carol(db: None) -> User:
    return new_person("Carol")


@pytest.fixture
def mo(db: None) -> User:
    return new_person("Mo", role="moderator")


@pytest.fixture
def eve(db: None) -> User:
    return new_person("Eve")


@pytest.fixture
def policy() -> TreePolicy:
    return TreePolicy()
