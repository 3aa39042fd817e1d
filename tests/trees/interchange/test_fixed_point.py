"""What was imported and exported is imported and exported again without a difference."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings

from tests.trees.interchange.file_trees import Node, by_id, file_trees, nodes_of, rows_of
from trees.interchange.importer import import_files
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.writer import read_lines
from trees.lifecycle.policy import TreePolicy
from trees.models import MessageTree

pytestmark = pytest.mark.django_db
EVERYTHING = Selection(
    state=None,
    deleted=Inclusion.WITH,
    rejected=Inclusion.WITH,
    synthetic=Inclusion.WITH,
    events=True,
    real_user_ids=True,
)


def with_new_ids(line: str) -> str:
    for node in nodes_of(json.loads(line)):
        line = line.replace(node["message_id"], str(uuid4()))
    return line


def brought_in(path: Path, content: str) -> str:
    """Import one tree, and return it as it is exported."""
    path.write_text(content + "\n")
    already = MessageTree.objects.count()
    assert import_files([path], policy=TreePolicy()).trees == 1
    assert import_files([path], policy=TreePolicy()).skipped == 1
    (line,) = list(read_lines(EVERYTHING))[already:]
    return line


class TestFixedPoint:
    @given(tree=file_trees())
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_random_trees(self, tmp_path: Path, tree: Node) -> None:
        # Hypothesis may try the same ids twice.
        given_tree = json.loads(with_new_ids(json.dumps(tree)))
        rows = "\n".join(json.dumps(row) for row in rows_of(json.loads(with_new_ids(json.dumps(tree)))))
        for content in (json.dumps(given_tree), rows):
            first = brought_in(tmp_path / "first.jsonl", content)
            renamed = with_new_ids(first)
            assert brought_in(tmp_path / "second.jsonl", renamed) == renamed
        assert by_id([given_tree]).items() <= by_id(map(json.loads, read_lines(EVERYTHING))).items()
