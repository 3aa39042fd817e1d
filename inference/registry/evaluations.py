"""Evaluate a model, keep the report, and ask a gate. What was found once is not computed again.

    OASST_HOME/training/evaluations/ID/report.json    with all answers
    OASST_HOME/training/evaluations/ID/report.html    the same for people

The files come before the row, so that an evaluation that was killed is not there; its folder goes with a later one.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings as site_settings
from django.db import connection, transaction
from pydantic import ValidationError

from inference import acts
from inference.evaluating.evaluating import Question, sources
from inference.evaluating.evaluating import evaluate as measure
from inference.evaluating.gate import Gate, Verdict, decide
from inference.evaluating.models import facts_of
from inference.evaluating.page import Line, parts, write_page
from inference.evaluating.report import FORMAT, Report
from inference.evaluating.settings import Settings
from inference.folders import below_home, folder_of_row, from_home
from inference.models import Evaluation, ServedModel
from inference.training.snapshot import SnapshotFolder
from oasst.accounts.models import User
from oasst.core.audit.recording import record
from oasst.core.errors import Invalid
from oasst.core.ids import uuid7
from oasst.core.locks import advisory_lock
from oasst.core.text.language_detection import detect_other_language

JSON, HTML = "report.json", "report.html"
_LEFT_BEHIND = 24 * 3600
"""Seconds after which a folder without a row is one of a process that was killed."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and with what."""

    model: ServedModel
    snapshot: SnapshotFolder
    snapshot_name: str
    against: ServedModel | None = None
    reward: Path | None = None
    """The folder of a reward model."""
    reward_name: str = ""


def evaluate(
    subject: Subject,
    *,
    settings: Settings | None = None,
    gate: Gate | None = None,
    by: User | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Return the evaluation, which takes minutes if it was not made before. Without a gate it is for reading only.

    Raise TrainingError with the cause, `broken` for a model that computes no numbers; Invalid `output` if the report
    cannot be written.
    """
    question = _question(subject, settings or Settings(), say)
    key = _key(question)
    rules = gate.as_values() if gate is not None else {}
    known = _with_report(key)
    if known is not None and known[0].gate == rules:
        return known[0]
    if known is None and not connection.in_atomic_block:
        connection.close()  # not held for minutes; the next statement opens another one
    report = known[1] if known is not None else measure(question)
    return _store(subject, key, report, gate, by)


def _question(subject: Subject, settings: Settings, say: Callable[[str], None]) -> Question:
    other = subject.against
    return Question(
        model=folder_of_row(subject.model),
        name=subject.model.name,
        against=None if other is None else folder_of_row(other),
        against_name="" if other is None else other.name,
        reward_model=subject.reward,
        reward_name=subject.reward_name,
        snapshot=subject.snapshot,
        settings=settings,
        judge_key=site_settings.JUDGE_KEY,
        other_language=detect_other_language,
        say=say,
    )


def _key(question: Question) -> str:
    """Return the digest of all that decides the report."""
    folders = (
        (question.model, question.name),
        (question.against, question.against_name),
        (question.reward_model, question.reward_name),
    )
    deciding = {
        "format": FORMAT,
        "models": [None if folder is None else facts_of(folder, name).model_dump() for folder, name in folders],
        "snapshot": question.snapshot.digest,
        "settings": question.settings.model_dump(mode="json", exclude={"threads"}),
        "sources": sources(question.settings),
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def _with_report(key: str) -> tuple[Evaluation, Report] | None:
    """Return the last evaluation with this key whose files are here, with its report."""
    for row in Evaluation.objects.filter(key=key).order_by("-created_at", "-pk"):
        file = from_home(row.page).with_name(JSON)
        try:
            return row, Report.model_validate_json(file.read_text("utf-8"))
        except (OSError, ValidationError):  # of another machine, or removed
            continue
    return None


def _store(subject: Subject, key: str, report: Report, gate: Gate | None, by: User | None) -> Evaluation:
    verdict = None if gate is None else decide(report, gate)
    row = Evaluation(
        id=uuid7(),
        key=key,
        model=subject.model,
        against=subject.against,
        snapshot=subject.snapshot_name,
        snapshot_digest=subject.snapshot.digest,
        report=report.short(),
        gate={} if gate is None else gate.as_values(),
        passed=None if verdict is None else verdict.passed,
        reasons=[] if verdict is None else verdict.reasons,
        seconds=sum(report.seconds.values()),
    )
    folder = _folders() / str(row.pk)
    _write(folder, report, verdict)
    row.page = below_home(folder / HTML)
    with transaction.atomic():
        advisory_lock("inference.evaluation", key)
        for same in Evaluation.objects.filter(key=key, gate=row.gate).order_by("-created_at"):
            if all(from_home(same.page).with_name(name).is_file() for name in (JSON, HTML)):  # another was quicker
                shutil.rmtree(folder, ignore_errors=True)
                return same
        row.save(force_insert=True)
        facts = {"model": row.model_id, "against": row.against_id, "snapshot": row.snapshot, "passed": row.passed}
        record(acts.EVALUATE_MODEL, row, actor=by, after=facts)
    _remove_left_behind()
    return row


def _folders() -> Path:
    return Path(site_settings.OASST_HOME / "training" / "evaluations")


def _write(folder: Path, report: Report, verdict: Verdict | None) -> None:
    try:
        folder.mkdir(parents=True)
        (folder / JSON).write_text(report.model_dump_json(indent=1), "utf-8", errors="replace")
        write_page(report, folder / HTML, verdict)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Invalid(f"{folder}: cannot be written: {error.strerror or error}", code="output") from error


def _remove_left_behind() -> None:
    """Remove folders of evaluations that were killed."""
    before = time.time() - _LEFT_BEHIND
    old = {folder.name: folder for folder in _folders().iterdir() if folder.stat().st_mtime < before}
    there = {str(pk) for pk in Evaluation.objects.filter(pk__in=list(old)).values_list("pk", flat=True)} if old else ()
    for name in old.keys() - set(there):
        shutil.rmtree(old[name], ignore_errors=True)


def page_of(row: Evaluation) -> Path | None:
    """Return the file with the page of this evaluation, only if it is one of ours and is here."""
    file = from_home(row.page).resolve()
    is_ours = file.is_relative_to(_folders().resolve()) and file.name == HTML
    return file if row.page and is_ours and file.is_file() else None


def figures_of(row: Evaluation) -> list[tuple[str, list[Line]]]:
    """Return the figures in parts, as the page shows them; none if they are of another release."""
    try:
        return list(parts(Report.model_validate(row.report)))
    except ValidationError:
        return []
