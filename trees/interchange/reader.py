"""Importing message trees from OASST JSON Lines.

One transaction for all files: a bad line changes nothing. Trees that are already here are left alone, so importing a
file twice is harmless. Texts are stored as they are; the rules for what people submit do not apply to files.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from oasst.core.errors import Conflict, Invalid
from trees import outbox, transitions
from trees.in_hand import lock_tree
from trees.interchange.format import ParsedMessage, ParsedTree, parse_tree
from trees.models import Happening, Message, MessageTree, Revision, TreeTransition
from trees.policy import TreePolicy
from trees.posting import digest_of
from trees.states import TABLE, State

BATCH = 100  # trees a batch: a few statements each, and a bounded amount of memory


@dataclass
class ImportResult:
    trees: int = 0
    messages: int = 0
    skipped: int = 0


def import_files(
    paths: Iterable[Path],
    *,
    policy: TreePolicy,
    to_backlog: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportResult:
    """Import all trees of the files (plain or .gz). Raises Invalid or Conflict with file and line.

    `to_backlog`: they wait to be ranked here, whatever state the files say.
    """
    result = ImportResult()
    with transaction.atomic(durable=True):
        for path in paths:
            lines = read_lines(path)
            while batch := list(islice(lines, BATCH)):
                if to_backlog:
                    for _, tree in batch:
                        tree.state = State.BACKLOG_RANKING
                _import_batch(batch, path, policy, result)
                if progress:
                    progress(result.trees + result.skipped)
    return result


def read_lines(path: Path) -> Iterator[tuple[int, ParsedTree]]:
    """(line number, tree) for each line that is not blank."""
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield number, parse_tree(json.loads(line))
                except json.JSONDecodeError as error:
                    raise Invalid(f"{path.name}, line {number}: no JSON: {error.msg}", code="no_json") from error
                except RecursionError as error:
                    raise Invalid(f"{path.name}, line {number}: nested too deeply", code="no_json") from error
                except Invalid as error:
                    raise Invalid(f"{path.name}, line {number}: {error.message}", code=error.code) from error
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise Invalid(f"{path}: can not be read: {error}", code="unreadable") from error


def _open(path: Path) -> IO[Any]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _import_batch(batch: list[tuple[int, ParsedTree]], path: Path, policy: TreePolicy, result: ImportResult) -> None:
    ids = [tree.id for _, tree in batch]
    known = set(MessageTree.objects.filter(pk__in=ids).values_list("pk", flat=True))
    fresh = []
    for _, tree in batch:
        if tree.id in known:
            result.skipped += 1
        else:
            known.add(tree.id)
            fresh.append(tree)
    if not fresh:
        return
    try:
        _insert(fresh, path.name, policy)
    except IntegrityError as error:
        first, last = batch[0][0], batch[-1][0]
        raise Conflict(
            f"{path.name}, lines {first} to {last}: a message id is already used in another tree",
            code="message_id_taken",
        ) from error
    for tree in fresh:
        if TABLE[tree.state].offers:
            transitions.open_places(lock_tree(tree.id, policy))
    result.trees += len(fresh)
    result.messages += sum(len(tree.messages) for tree in fresh)


def _insert(trees: list[ParsedTree], origin: str, policy: TreePolicy) -> None:
    now = timezone.now()
    MessageTree.objects.bulk_create(
        MessageTree(
            id=tree.id,
            state=tree.state.value,
            lang=tree.lang,
            goal_tree_size=policy.goal_tree_size,
            max_depth=policy.max_tree_depth,
            max_children_count=policy.max_children_count,
            origin=origin[:1024],
        )
        for tree in trees
    )
    messages = [_message(tree, parsed, now) for tree in trees for parsed in tree.messages]
    Message.objects.bulk_create(messages, batch_size=500)
    Revision.objects.bulk_create(
        (Revision(id=m.pk, message=m, text=m.text, created_at=m.created_at) for m in messages), batch_size=500
    )
    reason = f"Imported from {origin}."[:500]
    TreeTransition.objects.bulk_create(
        TreeTransition(tree_id=tree.id, from_state="", to_state=tree.state.value, reason=reason, at=now)
        for tree in trees
    )
    outbox.tell(
        [
            Happening(kind=Happening.Kind.TREE_IMPORTED, tree_id=tree.id, message_id=tree.id, data={"origin": origin})
            for tree in trees
        ]
    )


def _message(tree: ParsedTree, parsed: ParsedMessage, now: datetime) -> Message:
    text = parsed.node["text"]
    return Message(
        id=parsed.id,
        revision_id=parsed.id,
        tree_id=tree.id,
        parent_id=parsed.parent_id,
        role=parsed.node["role"],
        depth=parsed.depth,
        position=parsed.position,
        text=text,
        text_digest=digest_of(text),
        lang=parsed.node["lang"],
        frontend_message_id=str(parsed.id),
        created_at=parsed.created_at or now,
        deleted=parsed.fact("deleted"),
        synthetic=parsed.fact("synthetic"),
        model_name=parsed.fact("model_name"),
        review_count=parsed.fact("review_count"),
        review_result=parsed.fact("review_result"),
        rank=parsed.fact("rank"),
        emojis=parsed.fact("emojis"),
        imported=parsed.imported,
    )
