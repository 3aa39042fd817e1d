"""Previews and applications walk over the running trees: exactly once, also after a kill, until they are stopped."""

from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import IntegrityError, transaction

from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, NotAllowed
from oasst.core.models import AuditEntry, WaitingJob
from tests.factories import growing_tree, new_person, new_prompt, new_reply, review
from trees import jobs
from trees.lifecycle.policy_change import apply_policy as really_apply
from trees.models import Message, MessageTree, Opening, PolicyRun, PolicyVersion, TreeTransition
from trees.policies import changing, reading, runs

pytestmark = pytest.mark.django_db


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", role="admin")


@pytest.fixture
def trees(db: None) -> list[Message]:
    """Prompts with one review: two English ones and a German one."""
    alice, bob = new_person("Alice"), new_person("Bob")
    found = [new_prompt(alice, lang=lang) for lang in ("en", "de", "en")]
    for prompt in found:
        review(prompt, bob)
    return found


def drafted(ida: User, lang: str = "", **changes: Any) -> PolicyVersion:
    return changing.draft(lang=lang, changes=changes, actor=ida)


def in_force(ida: User, lang: str = "", **changes: Any) -> PolicyVersion:
    version = changing.put_in_force(version_id=drafted(ida, lang, **changes).pk, actor=ida, reason="A test.")
    reading.forget()
    return version


def previewed(version: PolicyVersion, ida: User) -> PolicyRun:
    return runs.continue_run(run_id=runs.start_preview(version_id=version.pk, actor=ida).pk)


def application(version: PolicyVersion, ida: User) -> PolicyRun:
    return runs.start_application(version_id=version.pk, actor=ida, reason="A test.")


def everything() -> tuple[object, ...]:
    return (
        list(MessageTree.objects.order_by("pk").values()),
        list(Message.objects.order_by("pk").values("pk", "review_result", "rank")),
        sorted(Opening.objects.values_list("message_id", "work")),
        TreeTransition.objects.count(),
    )


class TestPreview:
    def test_it_says_what_the_application_then_does(self, ida: User, trees: list[Message]) -> None:
        draft = drafted(ida, num_reviews_initial_prompt=1, goal_tree_size=5)
        before = everything()
        preview = previewed(draft, ida)
        assert everything() == before
        assert preview.stage == PolicyRun.Stage.DONE and preview.done == preview.to_do == 3
        assert preview.counts["en"] == {
            "trees": 2,
            "changed": 2,
            "resized": 2,
            "moved": 2,
            "accepted": 2,
            "rejected": 0,
            "reopened": 0,
            "opened": 0,
            "dropped": 2,
        }
        changing.put_in_force(version_id=draft.pk, actor=ida, reason="A test.")
        reading.forget()
        assert everything() == before  # only the application changes trees
        run = runs.continue_run(run_id=application(draft, ida).pk)
        assert run.counts == preview.counts
        assert set(Message.objects.values_list("review_result", flat=True)) == {True}
        again = previewed(draft, ida)
        assert sum(one["changed"] for one in again.counts.values()) == 0

    def test_rejected_and_reopened(self, ida: User, alice: User) -> None:
        prompt = growing_tree(alice)
        for _reply in range(3):
            new_reply(prompt, new_person("Writer"))
        reply = Message.objects.filter(parent=prompt).first()
        assert reply is not None
        review(reply, new_person("Reviewer"), spam=1)
        # The prompt has all its replies; with one rejected it needs another.
        assert not Opening.objects.filter(message=prompt).exists()
        counts = previewed(drafted(ida, num_reviews_reply=1), ida).counts["en"]
        assert (counts["accepted"], counts["rejected"], counts["reopened"]) == (0, 1, 1)

    def test_only_the_trees_of_its_language(self, ida: User, trees: list[Message]) -> None:
        preview = previewed(drafted(ida, "de", num_reviews_initial_prompt=1), ida)
        assert (preview.running_trees, list(preview.counts)) == (1, ["de"])
        assert preview.counts["de"]["accepted"] == 1

    def test_a_language_with_its_own_rule_is_not_moved_by_the_common_one(self, ida: User, trees: list[Message]) -> None:
        in_force(ida, "de", num_reviews_initial_prompt=2)
        counts = previewed(drafted(ida, num_reviews_initial_prompt=1), ida).counts
        assert (counts["en"]["accepted"], counts["de"]["accepted"]) == (2, 0)

    def test_of_many_it_looks_at_a_sample(
        self, ida: User, trees: list[Message], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs, "SAMPLE", 2)
        preview = previewed(drafted(ida, goal_tree_size=5), ida)
        assert (preview.running_trees, preview.to_do, preview.done) == (3, 2, 2)

    def test_refused(self, ida: User, mo: User, trees: list[Message]) -> None:
        first = in_force(ida, goal_tree_size=5)
        in_force(ida, goal_tree_size=6)
        draft = drafted(ida, goal_tree_size=7)
        with pytest.raises(NotAllowed):
            runs.start_preview(version_id=draft.pk, actor=mo)
        with pytest.raises(Conflict):  # a version of the past
            runs.start_preview(version_id=first.pk, actor=ida)
        runs.start_preview(version_id=draft.pk, actor=ida)
        with pytest.raises(Conflict) as refusal:
            runs.start_preview(version_id=draft.pk, actor=ida)
        assert refusal.value.code == "already_running" and PolicyRun.objects.count() == 1


class TestApplication:
    def test_only_what_is_in_force(self, ida: User, mo: User, trees: list[Message]) -> None:
        draft = drafted(ida, goal_tree_size=5)
        before = everything()
        for version, actor, reason in ((draft, ida, "Because."), (draft, mo, "Because."), (draft, ida, "")):
            with pytest.raises(DomainError):
                runs.start_application(version_id=version.pk, actor=actor, reason=reason)
        assert everything() == before and not PolicyRun.objects.exists()

    def test_one_at_a_time(self, ida: User, trees: list[Message]) -> None:
        version, german = in_force(ida, goal_tree_size=5), in_force(ida, "de", goal_tree_size=6)
        application(version, ida)
        with pytest.raises(Conflict):
            application(german, ida)
        run = PolicyRun.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            PolicyRun.objects.create(kind="apply", version=german, running_trees=0, to_do=0, last=0)
        assert run.is_under_way

    def test_the_job_goes_on_until_it_is_done(self, ida: User, trees: list[Message]) -> None:
        run = application(in_force(ida, goal_tree_size=5), ida)
        waiting = WaitingJob.objects.get(job=runs.JOB)
        assert waiting.args == [str(run.pk)] and jobs.run_policy.name == runs.JOB
        assert jobs.run_policy(str(run.pk)) == "done"
        assert set(MessageTree.objects.values_list("goal_tree_size", flat=True)) == {5}
        run.refresh_from_db()
        assert run.ended_at is not None

    def test_a_worker_that_remembers_the_rules_before_applies_those_in_force(
        self, ida: User, trees: list[Message]
    ) -> None:
        """It may have remembered them a moment before the change."""
        before = reading.read()
        run = application(in_force(ida, goal_tree_size=5), ida)
        reading.remember(before, seconds=3600)
        runs.continue_run(run_id=run.pk)
        assert set(MessageTree.objects.values_list("goal_tree_size", flat=True)) == {5}

    def test_a_conversation_that_is_moved_meanwhile_gets_the_rules_of_its_new_language(
        self, ida: User, trees: list[Message]
    ) -> None:
        in_force(ida, goal_tree_size=5)
        run = application(in_force(ida, "de", goal_tree_size=6), ida)

        def moved(**arguments: Any) -> Any:
            MessageTree.objects.filter(pk=arguments["tree_id"]).update(lang="fr", goal_tree_size=12)
            return really_apply(**arguments)

        with mock.patch.object(runs, "apply_policy", moved):
            runs.continue_run(run_id=run.pk)
        assert MessageTree.objects.get(lang="fr").goal_tree_size == 5

    def test_a_killed_one_goes_on_where_it_was(self, ida: User, trees: list[Message]) -> None:
        run = application(in_force(ida, num_reviews_initial_prompt=1), ida)

        def dies(**arguments: Any) -> None:
            """The worker is killed in the transaction of the second tree, after it was counted."""
            land = arguments.pop("land")

            def killed(change: Any) -> None:
                land(change)
                raise KeyboardInterrupt

            really_apply(**arguments, land=killed if arguments["tree_id"] == trees[1].pk else land)

        with mock.patch.object(runs, "apply_policy", dies), pytest.raises(KeyboardInterrupt):
            runs.continue_run(run_id=run.pk)
        run.refresh_from_db()
        assert run.is_under_way and run.done == 1
        assert [Message.objects.get(pk=one.pk).review_result for one in trees] == [True, None, None]
        run = runs.continue_run(run_id=run.pk)
        assert run.stage == PolicyRun.Stage.DONE and run.done == 3
        assert sum(one["accepted"] for one in run.counts.values()) == 3

    def test_two_workers_count_each_tree_once(self, ida: User, trees: list[Message]) -> None:
        run = application(in_force(ida, num_reviews_initial_prompt=1), ida)
        overtaken = []

        def later(**arguments: Any) -> Any:
            if not overtaken:
                overtaken.append(True)
                runs.continue_run(run_id=run.pk, trees=2)
            return really_apply(**arguments)

        with mock.patch.object(runs, "apply_policy", later):
            done = runs.continue_run(run_id=run.pk)
        assert done.stage == PolicyRun.Stage.DONE and done.done == 3
        assert sum(one["accepted"] for one in done.counts.values()) == 3

    def test_a_tree_that_is_moved_meanwhile_follows_its_new_language(self, ida: User, trees: list[Message]) -> None:
        in_force(ida, "de", num_reviews_initial_prompt=2)
        run = application(in_force(ida, num_reviews_initial_prompt=1), ida)

        def moved(**arguments: Any) -> Any:
            MessageTree.objects.filter(pk=trees[2].pk).update(lang="de")
            return really_apply(**arguments)

        with mock.patch.object(runs, "apply_policy", moved):
            runs.continue_run(run_id=run.pk)
        assert [Message.objects.get(pk=one.pk).review_result for one in trees] == [True, None, None]

    def test_a_stopped_one_stops(self, ida: User, mo: User, trees: list[Message]) -> None:
        run = application(in_force(ida, num_reviews_initial_prompt=1), ida)
        runs.continue_run(run_id=run.pk, trees=1)
        with pytest.raises(NotAllowed):
            runs.stop(run_id=run.pk, actor=mo, reason="Because.")
        runs.stop(run_id=run.pk, actor=ida, reason="Too many at once.")
        run = runs.continue_run(run_id=run.pk)
        assert (run.stage, run.done) == (PolicyRun.Stage.STOPPED, 1)
        assert [Message.objects.get(pk=one.pk).review_result for one in trees] == [True, None, None]
        with pytest.raises(Conflict):
            runs.stop(run_id=run.pk, actor=ida, reason="Again.")
        assert AuditEntry.objects.filter(act="policy.stop").count() == 1

    def test_stopped_in_the_middle_of_a_tree_leaves_that_tree_as_it_was(self, ida: User, trees: list[Message]) -> None:
        run = application(in_force(ida, num_reviews_initial_prompt=1), ida)

        def stopped(**arguments: Any) -> Any:
            runs.stop(run_id=run.pk, actor=ida, reason="Now.")
            return really_apply(**arguments)

        before = everything()
        with mock.patch.object(runs, "apply_policy", stopped):
            ended = runs.continue_run(run_id=run.pk)
        assert (ended.stage, ended.done) == (PolicyRun.Stage.STOPPED, 0) and everything() == before

    def test_a_tree_that_fails_is_counted_and_the_others_are_done(self, ida: User, trees: list[Message]) -> None:
        Message.objects.filter(pk=trees[1].pk).update(deleted=True)
        run = application(in_force(ida, goal_tree_size=5), ida)

        def fails(**arguments: Any) -> Any:
            if arguments["tree_id"] == trees[1].pk:
                raise RuntimeError("broken")
            return really_apply(**arguments)

        with mock.patch.object(runs, "apply_policy", fails):
            done = runs.continue_run(run_id=run.pk)
        assert done.stage == PolicyRun.Stage.DONE and done.counts["de"] == {"failed": 1}
        assert done.counts["en"]["resized"] == 2

    def test_too_many_failures_end_it(self, ida: User, trees: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runs, "MAX_FAILURES", 2)
        run = application(in_force(ida, goal_tree_size=5), ida)
        with mock.patch.object(runs, "apply_policy", side_effect=RuntimeError):
            done = runs.continue_run(run_id=run.pk)
        assert (done.stage, done.done) == (PolicyRun.Stage.FAILED, 2)

    def test_what_came_later_and_what_is_finished_is_left_alone(self, ida: User, trees: list[Message]) -> None:
        run = application(in_force(ida, goal_tree_size=5), ida)
        new_prompt(new_person("Ann"))
        MessageTree.objects.filter(pk=trees[0].pk).update(state="ready_for_export")
        done = runs.continue_run(run_id=run.pk)
        assert (done.to_do, done.done, done.stage) == (3, 2, PolicyRun.Stage.DONE)

    def test_ten_times_the_trees_cost_the_same_to_begin(self, ida: User, django_assert_max_num_queries: Any) -> None:
        version = in_force(ida, goal_tree_size=5)
        alice = new_person("Alice")
        for _prompt in range(12):
            new_prompt(alice)
        with django_assert_max_num_queries(14):
            runs.start_preview(version_id=version.pk, actor=ida)


def test_the_command_applies_what_is_in_force_now(ida: User, trees: list[Message]) -> None:
    before = reading.read()
    in_force(ida, goal_tree_size=5)
    reading.remember(before, seconds=3600)
    cache.set("tree_rules", {}, 60)  # from a process that read just before the commit
    call_command("apply_policy", stdout=StringIO())
    assert set(MessageTree.objects.values_list("goal_tree_size", flat=True)) == {5}
