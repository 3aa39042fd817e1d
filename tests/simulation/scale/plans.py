"""The plans of the statements of an act, with the rows that they really read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

SMALL = 50  # rows: scanning so few is fine
OPEN_WORK = "trees_opening"  # small, and counting it means reading it


@dataclass
class Plan:
    sql: str
    root: dict[str, Any]

    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.get("Plans", ()))

    def scanned_whole(self) -> list[str]:
        """Return the tables with more than a few rows that were scanned completely, except that of openings."""
        return [
            node["Relation Name"]
            for node in self.nodes()
            if node["Node Type"].endswith("Seq Scan") and node["Relation Name"] != OPEN_WORK and _rows(node) > SMALL
        ]

    def rows(self) -> int:
        """Return how many rows were read in tables and indexes, including those that a filter removed."""
        return sum(_rows(node) for node in self.nodes() if "Scan" in node["Node Type"])

    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self.nodes() if "Index Name" in node}


def _rows(node: dict[str, Any]) -> int:
    each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return round(each * node["Actual Loops"])


@dataclass
class Plans:
    found: list[Plan] = field(default_factory=list)

    @property
    def statements(self) -> int:
        return len(self.found)

    @property
    def rows(self) -> int:
        return sum(plan.rows() for plan in self.found)

    @property
    def indexes(self) -> set[str]:
        return {index for plan in self.found for index in plan.indexes()}

    @property
    def scanned_whole(self) -> list[tuple[str, str]]:
        return [(table, plan.sql) for plan in self.found for table in plan.scanned_whole()]


@contextmanager
def explained() -> Iterator[Plans]:
    """Collect the plans of all statements inside. Each runs twice; the first run is rolled back."""
    plans = Plans()

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split(None, 1)[0] in ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT") and not many:
            with transaction.atomic():
                with connection.connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                    answer = cursor.fetchone()[0]
                transaction.set_rollback(True)
            plans.found.append(Plan(sql, (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans
