"""Events and points from which every kind of notice follows, made by the real services, with nobody told yet."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from leaderboard import hot
from leaderboard.models import Standing
from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site.models import Notice
from oasst.site.notices import exports
from oasst.site.notices.mornings import MORNING
from tests.factories import decide, growing_tree, new_person, new_reply, work_until_state
from trees.contributing import corrections, reactions, reviews, withdrawal
from trees.interchange.snapshots import publishing
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Report
from trees.moderation import moderator_actions

SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)
LARGE = TreePolicy()


def make_everything(folder: Any) -> User:
    """Let all of it happen; return whom most of it concerns, for whom it is morning now."""
    settings.SNAPSHOT_FOLDER = folder / "snapshots"
    alice, bob, mo = new_person("Ann"), new_person("Ben"), new_person("Mona", role="moderator")
    offset = (MORNING.start + 1 - timezone.now().hour) % 24
    offset -= 24 if offset > 12 else 0
    User.objects.filter(pk=alice.pk).update(time_zone=f"Etc/GMT{-offset:+d}" if offset else "UTC")
    finished = growing_tree(alice, SMALL)
    work_until_state(finished.pk, State.READY_FOR_EXPORT, SMALL)
    call_command("snapshot_create", name="2026.9", verbosity=0)
    publishing.publish("2026.9")
    other = growing_tree(bob, lang="de")
    bad = new_reply(other, alice)
    with transaction.atomic():
        reviews.record_labels(message=bad, author=new_person("R"), labels={"spam": 1}, policy=LARGE)
    decide(bad, accept=False)
    good = new_reply(growing_tree(bob, lang="fr"), alice)
    decide(good)
    decide(corrections.suggest(message_id=good.pk, user=bob, text="A far better one", policy=LARGE))
    answered = growing_tree(alice, lang="es")
    decide(new_reply(answered, bob))
    report = reactions.report(message_id=other.pk, reporter=alice, category="spam")
    moderator_actions.settle_report(
        report_id=report.pk, actor=mo, status=Report.Status.DISMISSED, outcome="Fine.", policy=LARGE
    )
    withdrawal.withdraw(message_id=answered.pk, author=alice, reason="", policy=LARGE)
    moderator_actions.refuse_withdrawal(
        withdrawal_id=answered.withdrawals.get().pk, actor=mo, reason="It stays.", policy=LARGE
    )
    spare = new_reply(growing_tree(bob, lang="it"), alice)
    moderator_actions.delete_message(message_id=spare.pk, actor=mo, reason="Copied.", policy=LARGE)
    Standing.objects.update_or_create(frame="total", lang="", person=alice, defaults={"labels_full": 8})
    hot.recompute_moved()
    hot.put_in_order()
    return alice


def tell_of_snapshots() -> None:
    """Run the jobs that read the outbox enqueued."""
    for job in WaitingJob.objects.filter(job=exports.tell_of_snapshot.name):
        exports.tell_of_snapshot.run(*job.args)


def assert_each_kind_once(person: User) -> None:
    """Of each kind but one, the events above tell this person once: they wrote four texts that were accepted."""
    told = list(Notice.objects.filter(person=person).values_list("kind", "message", "level"))
    assert len(told) == len(set(told)), told
    # Who was ranked first is one of the simulated people. Warnings and answers to appeals have no event,
    # and nobody was merged.
    others = {Notice.Kind.RANKED_FIRST, Notice.Kind.WARNED, Notice.Kind.APPEAL_ANSWERED, Notice.Kind.MERGED}
    assert {kind for kind, _, _ in told} == set(Notice.Kind.values) - others
    assert Notice.objects.filter(kind=Notice.Kind.RANKED_FIRST).count() == 1
