"""What the site said that it stored, one JSON object a line, written before the person goes on.

Whoever kills servers can compare it with the database: every line must be there, exactly once.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from oasst.core.json_lines import dump_line, lines_of
from oasst.core.text.validation import clean_text
from oasst.simulation.crowd.work import Answer, Work
from tasks.models import Task


class Ledger:
    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8") if path else None
        self._lock = Lock()

    def acknowledged(self, user_id: UUID, work: Work, answer: Answer) -> None:
        if self._file is None:
            return
        line = {"task": str(work.task_id), "kind": work.kind.value, "user": str(user_id), **answer.as_json()}
        with self._lock:
            self._file.write(dump_line(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def missing_answers(path: Path) -> Iterator[str]:
    """A sentence for each acknowledged answer that is not stored as it was given, or was acknowledged twice."""
    lines = [json.loads(line) for line in lines_of(path)]
    for task_id, number in Counter(line["task"] for line in lines).items():
        if number > 1:
            yield f"task {task_id} was acknowledged {number} times"
    tasks = Task.objects.select_related("result_message", "result_review", "result_ranking")
    found = tasks.in_bulk([UUID(line["task"]) for line in lines])
    for line in lines:
        task = found.get(UUID(line["task"]))
        if task is None or str(task.user_id) != line["user"] or task.status != Task.Status.DONE:
            yield f"task {line['task']} is not done by its person"
        elif not _is_stored(task, line):
            yield f"task {line['task']} holds another answer than the one given"


def _is_stored(task: Task, line: dict[str, Any]) -> bool:
    if "text" in line:
        return task.result_message is not None and task.result_message.text == clean_text(line["text"], limit=10**6)
    if "labels" in line:
        return task.result_review is not None and task.result_review.labels == line["labels"]
    return task.result_ranking is not None and [str(one) for one in task.result_ranking.ordered_ids] == line["order"]
