"""A file of the answers that the site said it stored, one JSON object a line, for tests that kill servers: the database
must contain every line exactly once.
"""

from pathlib import Path
from threading import Lock
from uuid import UUID

from oasst.core.json_lines import dump_line
from oasst.simulation.crowd.work import Answer, Work


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
