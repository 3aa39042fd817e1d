"""A published snapshot tells each author once that it has texts of theirs."""

from typing import Any

import pytest

from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site.models import Notice
from oasst.site.notices import exports
from tests.site.notices.test_writing import read_all, told
from trees.interchange.snapshots import publishing
from trees.models import Happening, Snapshot

pytestmark = pytest.mark.django_db


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
