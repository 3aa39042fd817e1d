"""Comparing the answers that the site confirmed (`oasst.simulation.crowd.ledger`) with the database."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from oasst.core.json_lines import read_lines
from oasst.core.text.validation import clean_text
from tasks.models import Task


def missing_answers(path: Path) -> Iterator[str]:
    """Yield a sentence for each confirmed answer that is not stored as it was sent, or was confirmed twice."""
    lines = [json.loads(line) for line in read_lines(path)]
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
