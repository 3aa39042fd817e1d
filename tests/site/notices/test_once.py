"""Each kind of notice exactly once: two jobs at once, kills, old ones that were deleted; and never of an own act.

tests/crash/test_notices.py kills real workers.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leaderboard import hot, rebuild
from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site import purging
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import bell, digests, exports, keeping, levels, queries, storing
from tests.factories import decide, new_people, new_prompt
from tests.site.notices.everything import assert_each_kind_once, make_everything, tell_of_snapshots
from tests.site.notices.test_writing import give_points, read_all
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Purge

SALT = "a long secret that nobody can guess"
JOBS: tuple[Callable[[], Any], ...] = (read_all, levels.tell_levels, tell_of_snapshots)


@pytest.fixture(autouse=True)
def _salted(settings: Any) -> None:
    settings.SNAPSHOT_SALT, settings.SNAPSHOT_BUCKET = SALT, None
    settings.SENDS_MAIL = True


@pytest.mark.django_db(transaction=True)
def test_every_kind_once_with_jobs_at_once(tmp_path: Path) -> None:
    alice = make_everything(tmp_path)
    rounds = 2  # the second finds the jobs that the first enqueued
    for _ in range(rounds):
        runners = [threading.Thread(target=_run_and_close, args=[job]) for job in JOBS for _ in range(3)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
    assert_each_kind_once(alice)
    levels.tell_levels()
    assert_each_kind_once(alice)


def _run_and_close(job: Callable[[], Any]) -> None:
    try:
        job()
    finally:
        connection.close()


@pytest.mark.django_db
class TestKilled:
    def test_before_the_commit_leaves_nothing_and_the_next_run_tells_each_once(self, tmp_path: Path) -> None:
        alice = make_everything(tmp_path)
        for job in JOBS:
            before = Notice.objects.count()
            with (
                mock.patch.object(storing.bell, "changed", side_effect=KeyboardInterrupt),
                pytest.raises(KeyboardInterrupt),
            ):
                job()
            assert Notice.objects.count() == before
            job()
            job()
        assert_each_kind_once(alice)

    def test_events_that_are_read_again_tell_nobody_twice(self, tmp_path: Path) -> None:
        """As after a restore of the marks, or of levels, from an older backup."""
        alice = make_everything(tmp_path)
        for _ in range(2):
            for job in JOBS:
                job()
            Happening.objects.update(noticed=False)
            rebuild.note_all_as_risen()
        assert_each_kind_once(alice)


@pytest.mark.django_db
class TestOwnActs:
    @pytest.mark.parametrize("kind", sorted({*Notice.Kind.values} - {Notice.Kind.LEVEL_REACHED}))
    def test_no_kind_is_told_to_who_did_it(self, alice: User, bob: User, kind: str) -> None:
        """Levels are nobody's act."""
        event = Happening.objects.create(kind="message_accepted", actor=alice, data={"snapshot": "x"})
        with transaction.atomic():
            kept = storing.store([Notice(person=person, kind=kind, happening=event) for person in (alice, bob)])
        assert [notice.person for notice in kept] == [bob]
        assert list(Notice.objects.values_list("person", flat=True)) == [bob.pk]

    def test_every_kind_is_stored_there(self) -> None:
        """No module but `storing` makes rows."""
        folder = Path(storing.__file__).parent
        makers = {path.name for path in folder.rglob("*.py") if "Notice.objects.bulk_create" in path.read_text()}
        assert makers == {"storing.py"}


@pytest.mark.django_db
class TestOldNotices:
    def age(self, days: int) -> None:
        Notice.objects.update(created_at=timezone.now() - timedelta(days=days))

    def test_they_go_after_a_year_and_are_not_told_again(self, tmp_path: Path) -> None:
        alice = make_everything(tmp_path)
        for job in JOBS:
            job()
        self.age(364)
        assert keeping.delete_old() == 0
        self.age(366)
        while keeping.delete_old():
            pass
        WaitingJob.objects.all().delete()  # they succeeded
        for job in JOBS:
            job()
        assert not Notice.objects.filter(person=alice).exists()
        assert bell.count_unread(alice.pk) == 0

    def test_young_ones_behind_old_ones_stay(self, alice: User) -> None:
        rows = [Notice(person=alice, kind="level_reached", level=level) for level in range(2, 8)]
        Notice.objects.bulk_create(rows)
        Notice.objects.filter(level__lt=5).update(created_at=timezone.now() - timedelta(days=400))
        with CaptureQueriesContext(connection) as captured:
            assert keeping.delete_old() == 3
        assert Notice.objects.count() == 3
        assert len([q for q in captured if "site_notice" in q["sql"]]) == 2

    def test_erasing_a_person_after_their_notices_were_deleted(self, alice: User, mo: User) -> None:
        decide(new_prompt(alice))
        read_all()
        self.age(400)
        while keeping.delete_old():
            pass
        decide(new_prompt(alice))
        read_all()
        purge = purging.start_purge(user=alice, actor=mo, reason="Spam.")
        purging.continue_purge(purge_id=purge.pk, policy=TreePolicy())
        Purge.objects.filter(pk=purge.pk).update(finished_at=timezone.now() - timedelta(days=31))
        purging.process_due_purges(policy=TreePolicy())
        read_all()
        assert not Notice.objects.filter(person=alice).exists()
        Happening.objects.filter(subject=alice).update(noticed=False)
        read_all()
        assert queries.page_of(alice.pk).entries == []  # no text of theirs is left to tell of


@pytest.mark.django_db
class TestScale:
    """What a run costs follows from what changed, not from how many people there are."""

    def statements(self, call: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            call()
        return len(captured)

    def test_levels(self) -> None:
        def rise(people: list[User], points: int) -> None:
            for person in people:
                give_points(person, points)
            hot.put_in_order()

        few, many = new_people(1), new_people(10)
        rise(few, 8)
        one = self.statements(levels.tell_levels)
        rise(many, 8)
        ten = self.statements(levels.tell_levels)
        idle = self.statements(levels.tell_levels)
        assert ten <= one <= 14 and idle <= 5
        assert Notice.objects.filter(kind="level_reached").count() == 11

    def test_digests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(digests, "PEOPLE_AT_ONCE", 50)
        now = timezone.now().replace(hour=8) + timedelta(days=1)

        def accept(people: list[User]) -> None:
            for person in people:
                decide(new_prompt(person))
            read_all()
            NoticeAccount.objects.filter(person__in=people).update(digest_due_at=now - timedelta(hours=1))

        idle = self.statements(lambda: digests.begin_digests(now))
        accept(new_people(1))
        one = self.statements(lambda: digests.begin_digests(now))
        accept(new_people(10))
        ten = self.statements(lambda: digests.begin_digests(now))
        assert idle == 1 and ten <= one <= 6
        assert WaitingJob.objects.filter(job=digests.mail_digest.name).count() == 11

    def test_digests_in_pages_reach_everybody_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(digests, "PEOPLE_AT_ONCE", 3)
        now = timezone.now().replace(hour=8) + timedelta(days=1)
        people = new_people(8)
        moved = people[0]
        NoticeAccount.objects.bulk_create([NoticeAccount(person=p, digest_due_at=now) for p in people])
        User.objects.filter(pk=moved.pk).update(time_zone="Pacific/Auckland")
        assert digests.begin_digests(now) == 7
        waiting = WaitingJob.objects.filter(job=digests.mail_digest.name)
        assert {job.args[0] for job in waiting} == {str(person.pk) for person in people[1:]}
        assert NoticeAccount.objects.get(person=moved).digest_due_at > now

    def test_exports_page_by_page(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exports, "PEOPLE_AT_ONCE", 2)
        alice = make_everything(tmp_path)
        read_all()
        tell_of_snapshots()
        assert Notice.objects.filter(person=alice, kind="exported").count() == 1
