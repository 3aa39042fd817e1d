"""Fixtures of the tests of what spans the apps."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from oasst.accounts.models import User
from tests.factories import growing_tree, work_until_state
from trees.interchange.snapshots import publishing
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Snapshot

POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1)


@pytest.fixture
def published(alice: User, settings: Any, tmp_path: Path) -> Snapshot:
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"
    settings.SNAPSHOT_BUCKET = None
    work_until_state(growing_tree(alice, POLICY).pk, State.READY_FOR_EXPORT, POLICY)
    call_command("snapshot_create", name="2026.1", verbosity=0)
    publishing.publish("2026.1")
    return Snapshot.objects.get()
