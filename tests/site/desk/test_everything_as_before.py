"""Each act that can be undone is done and undone: then every row of the database is as before, but for histories."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app
from django.apps import apps
from django.db.models import Model

from inference import acts as chat_acts
from inference.chats import feedback
from inference.chats import moderation as chats
from leaderboard.points import COUNTERS
from oasst.accounts import account_changes, appeals, warnings
from oasst.accounts import acts as account_acts
from oasst.accounts.models import User
from oasst.core.audit.recording import collected_entries
from oasst.core.models import WaitingJob
from oasst.site import acts as site_acts
from oasst.site import jobs as _jobs  # noqa: F401 (so that Celery knows them)
from oasst.site import purging
from oasst.site.desk import undoing
from oasst.site.models import DeskDecision
from oasst.site.notices import writing
from tests.factories import growing_tree, new_person, new_prompt, new_reply, review, work_until_state
from tests.inference.talking import answered, ask
from tests.leaderboard.test_tallies import read_all
from tests.trees.moderation.test_act_undo import complained_about, flagged
from trees import acts as data_acts
from trees.contributing import reactions, withdrawal
from trees.enrichment import pairs
from trees.lifecycle import reply_ranks
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, NearDuplicate, ReadingKind, Withdrawal
from trees.moderation import acts as tree_acts
from trees.moderation import bans, moderator_actions, personal_data

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=3, max_tree_depth=1, auto_mod_red_flags=3)
HISTORIES = {
    *("core.AuditEntry", "core.AuditText", "core.AuditLink", "core.AuditHead", "core.WaitingJob"),
    *("trees.Happening", "trees.TreeTransition", "trees.Purge", "trees.PurgeStep", "site.DeskDecision"),
    *("accounts.AccountWarning", "site.NoticeAccount"),  # a mail without notices is not sent
}
"""Tables of what happened, to which an act and its undo both add."""
WRITTEN_AGAIN = {
    "trees.Opening": {"id", "created_at"},
    "trees.MessageTree": {"state_since"},
    "leaderboard.Tally": {"id"},
    "leaderboard.Standing": {"id", "updated_at"},
    "leaderboard.TrollStanding": {"id", "updated_at"},
}
"""Columns of rows that are made anew, or say when something was done last."""
BY_THE_DESK = {site_acts.PASS_ON.name, site_acts.ANSWER_PASSED_ON.name}
"""Acts that are no service: `test_undoing.py` decides them at the desk, and undoes them."""
COUNTED = (*COUNTERS, "points", "writing", "reviewing", "ranking")
JOBS = ("tell_of_warning", "tell_of_appeal", "follow_standing", "go_on_with_purge")
"""What is enqueued by an act and belongs to it."""


class Scene:
    """A conversation that grows: a prompt by `alice`, an accepted reply by `bob`, both with reviews."""

    def __init__(self, alice: User, bob: User, mo: User) -> None:
        self.alice, self.bob, self.mo = alice, bob, mo
        self.prompt = growing_tree(alice, POLICY)
        self.reply = new_reply(self.prompt, bob, policy=POLICY)
        review(self.reply, new_person("Reader"), policy=POLICY)

    @property
    def because(self) -> dict[str, Any]:
        return {"actor": self.mo, "reason": "Junk.", "policy": POLICY}

    def personal(self) -> dict[str, Any]:
        """Let machines find personal data in the reply; return what a decision about that names."""
        text = Message.objects.get(pk=self.reply.pk).text
        spans = [[0, len(text) // 2, "email"]]
        MessageReading.objects.create(
            revision_id=self.reply.revision_id,
            kind=ReadingKind.PERSONAL_DATA,
            result={"spans": spans},
            flagged=True,
            due_at=None,
        )
        return {"message_id": self.reply.pk, "revision_id": str(self.reply.revision_id), "actor": self.mo}


Act = Callable[[], object]
TABLE: dict[str, Callable[[Scene], Act]] = {}
"""The name of an act → what prepares a scene for it, and returns the act."""


def case(act: Any) -> Callable[[Callable[[Scene], Act]], Callable[[Scene], Act]]:
    def add(prepare: Callable[[Scene], Act]) -> Callable[[Scene], Act]:
        TABLE[act.name] = prepare
        return prepare

    return add


def on_message(name: str) -> Callable[[Scene], Act]:
    def prepare(scene: Scene) -> Act:
        complained_about(scene.reply, new_person("Dora"))
        return lambda: getattr(moderator_actions, name)(message_id=scene.reply.pk, **scene.because)

    return prepare


TABLE[tree_acts.KEEP.name] = on_message("keep")
TABLE[tree_acts.HIDE.name] = on_message("hide")
TABLE[tree_acts.DELETE.name] = on_message("delete_message")


@case(tree_acts.HALT)
def _halt(scene: Scene) -> Act:
    return lambda: moderator_actions.halt(tree_id=scene.prompt.pk, **scene.because)


@case(tree_acts.RESUME)
def _resume(scene: Scene) -> Act:
    moderator_actions.halt(tree_id=scene.prompt.pk, **scene.because)
    return lambda: moderator_actions.resume(tree_id=scene.prompt.pk, **scene.because)


@case(tree_acts.RETRY_SCORING)
def _retry(scene: Scene) -> Act:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(reply_ranks, "score", lambda *_: 1 / 0)
        work_until_state(scene.prompt.pk, State.SCORING_FAILED, POLICY)
    return lambda: moderator_actions.retry_scoring(tree_id=scene.prompt.pk, **scene.because)


@case(tree_acts.UNDELETE)
def _undelete(scene: Scene) -> Act:
    deletion = moderator_actions.delete_message(message_id=scene.reply.pk, **scene.because)
    return lambda: moderator_actions.undelete(deletion_id=deletion.pk, **scene.because)


@case(tree_acts.EDIT)
def _edit(scene: Scene) -> Act:
    flagged(scene.reply)
    return lambda: moderator_actions.edit_message(message_id=scene.reply.pk, text="A better text.", **scene.because)


@case(tree_acts.MOVE)
def _move(scene: Scene) -> Act:
    return lambda: moderator_actions.move_to_language(tree_id=scene.prompt.pk, lang="de", **scene.because)


def _about_proposal(name: str) -> Callable[[Scene], Act]:
    def prepare(scene: Scene) -> Act:
        proposal = flagged(scene.prompt)
        return lambda: getattr(moderator_actions, name)(proposal_id=proposal.pk, **scene.because)

    return prepare


TABLE[tree_acts.UPHOLD.name] = _about_proposal("uphold")
TABLE[tree_acts.DISMISS.name] = _about_proposal("dismiss")


def _about_withdrawal(name: str) -> Callable[[Scene], Act]:
    def prepare(scene: Scene) -> Act:
        withdrawal.withdraw(message_id=scene.prompt.pk, author=scene.alice, reason="Private.", policy=POLICY)
        row = Withdrawal.objects.get()
        return lambda: getattr(moderator_actions, name)(withdrawal_id=row.pk, **scene.because)

    return prepare


TABLE[tree_acts.GRANT.name] = _about_withdrawal("grant_withdrawal")
TABLE[tree_acts.REFUSE.name] = _about_withdrawal("refuse_withdrawal")


@case(tree_acts.SETTLE)
def _settle(scene: Scene) -> Act:
    report = reactions.report(message_id=scene.reply.pk, reporter=scene.alice, category="spam")
    about: dict[str, Any] = {"actor": scene.mo, "status": "dismissed", "outcome": "It is fine.", "policy": POLICY}
    return lambda: moderator_actions.settle_report(report_id=report.pk, **about)


@case(tree_acts.MASK)
def _mask(scene: Scene) -> Act:
    about = scene.personal()
    return lambda: personal_data.mask(policy=POLICY, **about)


@case(account_acts.BAN)
def _ban(scene: Scene) -> Act:
    new_prompt(scene.bob, policy=POLICY)  # which waits, and is halted
    return lambda: bans.ban(scene.bob, actor=scene.mo, reason="Rude.")


@case(account_acts.UNBAN)
def _unban(scene: Scene) -> Act:
    new_prompt(scene.bob, policy=POLICY)
    bans.ban(scene.bob, actor=scene.mo, reason="Rude.")
    appeals.appeal(scene.bob, "I promise to be kind.")
    return lambda: bans.unban(scene.bob, actor=scene.mo, reason="They promised.")


@case(account_acts.CHANGE)
def _change(scene: Scene) -> Act:
    values: dict[str, Any] = {"display_name": "Somebody", "notes": "Odd.", "show_on_leaderboard": False}
    return lambda: account_changes.change_account(scene.bob, actor=scene.mo, reason="Asked.", **values)


@case(account_acts.WARN)
def _warn(scene: Scene) -> Act:
    return lambda: warnings.warn(user=scene.bob, actor=scene.mo, reason="Rude.")


@case(account_acts.REFUSE_APPEAL)
def _refuse_appeal(scene: Scene) -> Act:
    bans.ban(scene.bob, actor=scene.mo, reason="Rude.")
    row = appeals.appeal(scene.bob, "I promise to be kind.")
    return lambda: appeals.refuse(row.pk, actor=scene.mo, answer="No.")


@case(site_acts.PURGE)
def _purge(scene: Scene) -> Act:
    return lambda: purging.start_purge(user=scene.bob, actor=scene.mo, reason="Spam.")


@case(chat_acts.SETTLE_REPORT)
def _settle_chat(scene: Scene) -> Act:
    message = answered(ask(scene.bob, "A question"), "A rude answer")
    report = feedback.report(user=scene.bob, message_id=message.pk, kind="offensive", reason="It swears.")
    return lambda: chats.resolve_report(report_id=report.pk, actor=scene.mo, outcome="Right.")


@case(data_acts.KEEP_PERSONAL_DATA)
def _keep_personal_data(scene: Scene) -> Act:
    about = scene.personal()
    return lambda: personal_data.keep(**about)


@case(data_acts.DECIDE_PAIR)
def _decide_pair(scene: Scene) -> Act:
    first, second = sorted((scene.prompt, new_prompt(scene.bob, policy=POLICY)), key=lambda one: one.pk)
    pair = NearDuplicate.objects.create(first=first, second=second, wording=0.9)
    dismissed = NearDuplicate.Status.DISMISSED
    return lambda: pairs.decide(pair_id=pair.pk, actor=scene.mo, reason="Fine.", status=dismissed)


def follow() -> None:
    """Let everything follow that jobs do after an act: boards, notices, waiting prompts, a purge."""
    for row in list(WaitingJob.objects.order_by("created_at", "pk")):
        if row.job.rpartition(".")[2] in JOBS:
            current_app.tasks[row.job].run(*row.args)
    WaitingJob.objects.all().delete()
    read_all()
    while writing.read_outbox() == writing.BATCH:
        pass


def rows_of(model: type[Model]) -> Iterator[str]:
    label, manager = model._meta.label, getattr(model, "everything", model._base_manager)
    skipped = WRITTEN_AGAIN.get(label, set())
    names = [field.attname for field in model._meta.concrete_fields if field.attname not in skipped]
    for row in manager.values(*names):
        if row.get("undone_at") or row.get("lifted_at"):
            continue  # a deletion or a ban that is over
        if label in ("leaderboard.Standing", "leaderboard.Moved") and not any(row.get(one) for one in COUNTED):
            continue
        if label == "leaderboard.TrollStanding" and not any(
            value for name, value in row.items() if name not in ("frame", "person_id")
        ):
            continue
        if label == "leaderboard.Counted":
            row["counts"] = sorted(row["counts"], key=str)
        yield f"{label} {row}"


def world() -> Counter[str]:
    follow()
    models = [model for model in apps.get_models() if model._meta.label not in HISTORIES and model._meta.managed]
    return Counter(row for model in models for row in rows_of(model))


@pytest.fixture
def scene(alice: User, bob: User, mo: User, settings: Any) -> Scene:
    settings.OASST_CHAT_MODEL = "tiny"
    return Scene(alice, bob, mo)


def test_each_act_that_can_be_undone_is_in_the_table() -> None:
    assert set(TABLE) | BY_THE_DESK == undoing.UNDOABLE


@pytest.mark.parametrize("name", sorted(TABLE))
def test_everything_is_as_before(scene: Scene, name: str) -> None:
    act = TABLE[name](scene)
    before = world()
    with collected_entries() as entries:
        act()
    assert name in {one.act for one in entries}
    done = world()
    assert done != before
    decision = DeskDecision.objects.create(
        moderator=scene.mo, session="s", entries=[one.pk for one in entries], act=name, reason="Junk."
    )
    undoing.undo_decision(decision, actor=scene.mo, reason="A slip.", policy=POLICY)
    now = world()
    assert (sorted(before - now), sorted(now - before)) == ([], [])
