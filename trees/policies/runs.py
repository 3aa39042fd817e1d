"""Walk over the running trees: a preview says what rules would change there, an application changes it.

Each tree is a transaction of its own. An application counts it in the same transaction; so a job that is killed, or
runs twice, does and counts each tree once. A preview rolls every tree back and counts it afterwards. Lock order: the
tree, then the run.
"""

import math
from collections.abc import Iterator
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from oasst.accounts.access import require_administrator
from oasst.accounts.models import User
from oasst.core.after_commit import enqueue_by_name
from oasst.core.audit.acts import Act
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotFound
from oasst.core.jobs import MAX_FAILURES, JobTimeout, timed_rounds
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_reason
from trees import acts
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.policy_change import PolicyChange, apply_policy, running_trees
from trees.models import MessageTree, PolicyRun, PolicyVersion
from trees.policies import reading
from trees.policies.changing import merged, own_rules, rules_with

SAMPLE = 1_000
"""A preview looks at no more trees, chosen at random: it is ready within a minute."""
BATCH = 100
JOB = "trees.jobs.run_policy"

log = structlog.get_logger(__name__)


class _Elsewhere(Exception):
    """Another worker did this tree, or the run was stopped: what was done to the tree is rolled back."""


# --- Decisions ---


def start_preview(*, version_id: int, actor: User, reason: str = "") -> PolicyRun:
    """Begin to find out what a draft, or the version in force, would change on running trees.

    Raise NotAllowed (`administrators_only`), NotFound (`version_not_found`), Conflict (`not_newest` for a version of
    the past, `already_running`).
    """
    require_administrator(actor)
    with transaction.atomic():
        version = _version(version_id)
        stored = reading.read()
        rules = stored.with_seed
        if version.is_draft:
            rules = rules_with(stored, version.lang, merged(own_rules(stored, version.lang), version.changes))
        else:
            _require_in_force(version)
        numbers = running_trees(version.lang).order_by("?").values_list("number", flat=True)[:SAMPLE]
        sample = sorted(numbers)
        return _start(PolicyRun.Kind.PREVIEW, version, actor, reason, acts.PREVIEW_POLICY, sample, rules)


def start_application(*, version_id: int, actor: User, reason: str) -> PolicyRun:
    """Begin to apply the rules in force to the running trees of the version's language.

    Raise NotAllowed (`administrators_only`), NotFound (`version_not_found`), Invalid (no reason), Conflict
    (`not_newest`, `already_running`).
    """
    require_administrator(actor)
    reason = clean_reason(reason)
    with transaction.atomic():
        version = _version(version_id)
        _require_in_force(version)
        return _start(PolicyRun.Kind.APPLY, version, actor, reason, acts.APPLY_POLICY)


def stop(*, run_id: int, actor: User, reason: str) -> PolicyRun:
    """Stop it after the tree of this moment. What was changed stays. Raise NotAllowed, NotFound, Conflict
    (`not_running`), Invalid (no reason).
    """
    require_administrator(actor)
    reason = clean_reason(reason)
    with transaction.atomic():
        run = PolicyRun.objects.select_for_update(no_key=True).filter(pk=run_id).first()
        if run is None:
            raise NotFound(_("There is no such run."), code="run_not_found")
        if not run.is_under_way:
            raise Conflict(_("This is not under way."), code="not_running")
        run.stage, run.ended_at = PolicyRun.Stage.STOPPED, timezone.now()
        run.save(update_fields=["stage", "ended_at"])
        record(acts.STOP_POLICY_RUN, run, actor=actor, reason=reason, after={"trees": run.done, "of": run.to_do})
    return run


def _version(version_id: int) -> PolicyVersion:
    advisory_lock("policy_runs")
    version = PolicyVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound(_("There is no such version."), code="version_not_found")
    return version


def _require_in_force(version: PolicyVersion) -> None:
    if not is_in_force(version):
        raise Conflict(_("This version is not in force. Only what is in force can be applied."), code="not_newest")


def is_in_force(version: PolicyVersion) -> bool:
    """Return True for the newest version of its language. One statement."""
    versions = PolicyVersion.objects.filter(lang=version.lang, number__isnull=False)
    return version.number is not None and not versions.filter(number__gt=version.number).exists()


def _start(
    kind: PolicyRun.Kind,
    version: PolicyVersion,
    actor: User,
    reason: str,
    act: Act,
    sample: list[int] | None = None,
    rules: Any = None,
) -> PolicyRun:
    rivals = PolicyRun.objects.filter(kind=kind, stage=PolicyRun.Stage.RUNNING)
    if kind == PolicyRun.Kind.PREVIEW:
        rivals = rivals.filter(version=version)
    if rivals.exists():
        raise Conflict(_("One is under way already. Wait for its end, or stop it."), code="already_running")
    running = running_trees(version.lang)
    number = running.count()
    run = PolicyRun.objects.create(
        kind=kind,
        version=version,
        lang=version.lang,
        rules=rules or {},
        sample=sample,
        running_trees=number,
        to_do=number if sample is None else len(sample),
        last=running.order_by().aggregate(last=Max("number"))["last"] or 0,
        started_by=actor,
        reason=reason,
    )
    record(
        act,
        run,
        actor=actor,
        reason=reason,
        after={"version": version.number or f"draft {version.pk}", "trees": run.to_do},
    )
    enqueue_by_name(JOB, str(run.pk))
    return run


# --- The job ---


def continue_run(*, run_id: int, seconds: float = math.inf, trees: int | None = None) -> PolicyRun:
    """Do what is left, to the end, for `seconds` or for so many `trees`. Safe to run twice, concurrently and after a
    kill.
    """
    run = PolicyRun.objects.get(pk=run_id)
    for number, _step in enumerate(zip(_steps(run), timed_rounds(seconds), strict=False), start=1):
        if number == trees:
            break
    run.refresh_from_db()
    return run


def _steps(run: PolicyRun) -> Iterator[None]:
    while run.is_under_way:
        batch = _next_trees(run)
        if not batch:
            _end(run, PolicyRun.Stage.DONE)
        policy = _policy(run)
        for tree in batch:
            _do(run, tree, policy)
            yield
            if run.position != tree.number or not run.is_under_way:  # another worker is further, or it was stopped
                break


def _next_trees(run: PolicyRun) -> list[MessageTree]:
    if run.sample is not None:
        trees = MessageTree.objects.filter(number__in=run.sample).order_by("number")
    else:
        trees = running_trees(run.lang).filter(number__lte=run.last)
    return list(trees.filter(number__gt=run.position).only("pk", "number", "lang")[:BATCH])


def _policy(run: PolicyRun) -> TreePolicy:
    """Return the policy of the site for the next batch. What this process remembers may be from before the change that
    is to be applied, so an application asks the database.
    """
    return reading.policy_of(run.rules) if run.kind == PolicyRun.Kind.PREVIEW else reading.read().policy


def _do(run: PolicyRun, tree: MessageTree, policy: TreePolicy) -> None:
    """Do one tree. A failure is counted, so that it does not keep the others waiting."""
    is_preview = run.kind == PolicyRun.Kind.PREVIEW

    def land(change: PolicyChange) -> None:
        if not is_preview:
            _count(run, tree, change)

    try:
        change = apply_policy(tree_id=tree.pk, policy=policy, dry_run=is_preview, land=land)
        if is_preview:
            _count(run, tree, change)
    except _Elsewhere:
        run.refresh_from_db()
    except JobTimeout:
        raise
    except Exception:
        log.exception("policy_of_tree_failed", run=run.pk, tree=str(tree.pk))
        run.refresh_from_db()
        if run.position < tree.number and run.is_under_way:
            _count_failure(run, tree)


def _count(run: PolicyRun, tree: MessageTree, change: PolicyChange) -> None:
    _add(
        run,
        tree,
        {
            "trees": 1,
            "changed": change.has_changes,
            "resized": bool(change.sizes),
            "moved": change.before != change.after,
            "accepted": change.accepted,
            "rejected": change.rejected,
            "reopened": change.reopened,
            "opened": change.opened,
            "dropped": change.dropped,
        },
    )


def _count_failure(run: PolicyRun, tree: MessageTree) -> None:
    try:
        _add(run, tree, {"failed": 1})
    except _Elsewhere:
        run.refresh_from_db()
        return
    if sum(one.get("failed", 0) for one in run.counts.values()) >= MAX_FAILURES:  # the trees are not to blame
        _end(run, PolicyRun.Stage.FAILED)


def _add(run: PolicyRun, tree: MessageTree, numbers: dict[str, int]) -> None:
    """Count a tree. Raise _Elsewhere if the run is no more where it was."""
    known = run.counts.get(tree.lang, {})
    of_language = {name: known.get(name, 0) + int(numbers.get(name, 0)) for name in {**known, **numbers}}
    counts = {**run.counts, tree.lang: of_language}
    here = PolicyRun.objects.filter(pk=run.pk, stage=PolicyRun.Stage.RUNNING, position=run.position)
    if not here.update(position=tree.number, counts=counts):
        raise _Elsewhere
    run.position, run.counts = tree.number, counts


def _end(run: PolicyRun, stage: PolicyRun.Stage) -> None:
    here = PolicyRun.objects.filter(pk=run.pk, stage=PolicyRun.Stage.RUNNING, position=run.position)
    here.update(stage=stage, ended_at=timezone.now())
    run.refresh_from_db()
