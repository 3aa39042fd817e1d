"""Every job is explained: what it is for, what happens without it, what is lost when it is given up."""

import pytest
from celery import current_app

from oasst.core.jobs import NightJob
from oasst.site.beat_schedule import SCHEDULES
from oasst.site.operation import times
from oasst.site.operation.descriptions import DESCRIPTIONS, Group, describe

CLOCK = {entry.job for entry in SCHEDULES}
OWN = {job for job in DESCRIPTIONS if not job.startswith("celery.")}


def test_every_job_has_an_entry() -> None:
    current_app.loader.import_default_modules()
    there = {job for job in current_app.tasks if not job.startswith(("celery.", "tests."))}
    assert there == OWN
    long = {job for job in there if isinstance(current_app.tasks[job], NightJob)}
    assert {job for job in OWN if DESCRIPTIONS[job].is_long} == long


def test_titles_differ() -> None:
    titles = [str(one.title) for one in DESCRIPTIONS.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("job", sorted(CLOCK))
def test_what_happens_while_it_is_off_stands_alone(job: str) -> None:
    """The page of operation shows it without the sentence about the job."""
    assert str(DESCRIPTIONS[job].while_off).partition(" ")[0] not in ("It", "They", "This", "These")


@pytest.mark.parametrize("job", sorted(OWN))
def test_it_is_explained(job: str) -> None:
    about = DESCRIPTIONS[job]
    assert str(about.about).endswith(".") and str(about.about).count(". ") == 0
    if job in CLOCK:
        assert about.group not in (Group.COMMIT, Group.OTHER) and str(about.while_off).endswith(".")
        assert bool(about.needed) == bool(about.most_apart)
        assert not about.loss and not about.kept
    else:
        assert about.group == Group.COMMIT and not about.while_off and not about.needed
        assert bool(about.loss) != bool(about.kept), "it may be given up, or the page says why not"


def test_the_default_times_are_often_enough() -> None:
    from django.utils import timezone

    for entry in SCHEDULES:
        most = describe(entry.job).most_apart
        assert most is None or times.longest_gap(entry.when, timezone.now()) <= most, entry.name


def test_the_names_of_the_last_release_lead_to_those_of_this_one() -> None:
    assert describe("oasst.purge.go_on_with_purge") == DESCRIPTIONS["oasst.site.purging.go_on_with_purge"]
    assert describe("gone").group == Group.OTHER and describe("gone").loss
