"""A published snapshot tells each author once that it has texts of theirs."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site.models import Notice
from oasst.site.notices import exports
from tests.factories import growing_tree, work_until_state
from tests.site.notices.test_writing import POLICY, read_all, told
from trees.interchange.snapshots import publishing
from trees.lifecycle.states import State
from trees.models import Happening, Snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(alice: User, settings: Any, tmp_path: Path) -> Snapshot:
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"
    settings.SNAPSHOT_BUCKET = None
    work_until_state(growing_tree(alice, POLICY).pk, State.READY_FOR_EXPORT, POLICY)
    call_command("snapshot_create", name="2026.1", verbosity=0)
    publishing.publish("2026.1")
    return Snapshot.objects.get()


def test_each_author_once(alice: User, eve: User, published: Snapshot) -> None:
    read_all()
    job = WaitingJob.objects.get(job=exports.tell_of_snapshot.name)
    assert exports.tell_of_snapshot.run(*job.args) == 4  # alice and three who replied
    assert exports.tell_of_snapshot.run(*job.args) == 0  # a worker was killed and the job sent again
    assert told(alice)[-1] == "The published data set 2026.1 has 1 text of yours."
    assert told(eve) == []
    publishing.unpublish("2026.1")
    assert "The published data set 2026.1 has 1 text of yours." not in told(alice)


def test_publishing_twice_is_one_event(published: Snapshot) -> None:
    publishing.publish("2026.1")
    assert Happening.objects.filter(kind="snapshot_published").count() == 1


def test_another_salt_tells_nobody(published: Snapshot, settings: Any) -> None:
    settings.SNAPSHOT_SALT = "another long secret that nobody knows"
    event = Happening.objects.get(kind="snapshot_published")
    assert exports.tell_of_snapshot.run(event.pk) == 0
    assert not Notice.objects.filter(kind="exported").exists()
