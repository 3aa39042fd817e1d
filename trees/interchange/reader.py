"""Import message trees from OASST JSON Lines, in UTF-8 with or without a byte order mark.

One transaction for all files: a bad line changes nothing. Existing trees are skipped, so a repeated import is harmless.
Texts are stored unchanged; the rules for submitted texts do not apply.
"""

import gzip
import json
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn, cast
from uuid import UUID

from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.utils import timezone
from psycopg.errors import ProgramLimitExceeded

from oasst.core.errors import Conflict, Invalid
from trees.contributing.posting import hash_text
from trees.interchange.format import ParsedMessage, ParsedTree, parse_tree
from trees.lifecycle import openings
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import TABLE, State
from trees.models import Happening, Message, MessageTree, Revision, TreeTransition
from trees.outbox import publishing

BATCH = 100  # trees per batch: a few statements each
BATCH_BYTES = 20_000_000  # a batch is held in memory; its last line may exceed this
LONGEST_LINE = 16_000_000  # bytes; parsing holds a line several times in memory


@dataclass
class ImportResult:
    trees: int = 0
    messages: int = 0
    skipped: int = 0


def import_files(paths: Iterable[Path], *, policy: TreePolicy, to_backlog: bool = False) -> ImportResult:
    """Import all trees of the files (plain or .gz). Raise Invalid or Conflict with file and line.

    With `to_backlog` the trees wait for ranking, whatever their state in the file.
    """
    result = ImportResult()
    with transaction.atomic(durable=True):
        for path in paths:
            for batch in _batches(path):
                if to_backlog:
                    for _, tree in batch:
                        tree.state = State.BACKLOG_RANKING
                _import_batch(batch, path, policy, result)
    return result


def _batches(path: Path) -> Iterator[list[tuple[int, ParsedTree]]]:
    """Yield the trees of a file with their line numbers, in batches bounded in trees and bytes. Raise Invalid."""
    batch: list[tuple[int, ParsedTree]] = []
    size = 0
    for number, length, tree in _read(path):
        batch.append((number, tree))
        size += length
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read(path: Path) -> Iterator[tuple[int, int, ParsedTree]]:
    """Yield (line number, bytes, tree) for each line that is not blank. Raise Invalid with file, line and reason."""
    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(BOM_UTF8)
                if line.strip():
                    yield number, len(line), _parse_line(line, f"{origin_of(path)}, line {number}")
    except (OSError, EOFError, zlib.error) as error:
        after = f" after line {number}" if number else ""
        raise Invalid(f"{origin_of(path)}: cannot be read{after}: {error}", code="unreadable") from error


def _parse_line(line: bytes, where: str) -> ParsedTree:
    """Return the tree of a line. Raise Invalid with `where` before the reason."""
    try:
        if len(line) > LONGEST_LINE:
            raise Invalid(f"longer than {LONGEST_LINE / 1e6:.0f} MB", code="line_too_long")
        return parse_tree(_json(line))
    except UnicodeDecodeError as error:
        hint = " The file looks like UTF-16; save it as UTF-8." if line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""
        reason = f"cannot be read as UTF-8: byte {error.start + 1} is {line[error.start]:#04x}.{hint}"
        raise Invalid(f"{where}: {reason}", code="unreadable") from error
    except json.JSONDecodeError as error:
        raise Invalid(f"{where}: no JSON: {error.msg} (character {error.pos + 1})", code="no_json") from error
    except RecursionError as error:
        raise Invalid(f"{where}: nested too deeply", code="no_json") from error
    except Invalid as error:
        raise Invalid(f"{where}: {error.message}", code=error.code) from error


def _json(line: bytes) -> Any:
    """Parse a line. Raise JSONDecodeError, UnicodeDecodeError, RecursionError, Invalid."""
    try:
        return json.loads(line.decode(), parse_constant=_refuse_constant)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:  # Python limits numbers to 4,300 digits
        raise Invalid("a number has too many digits", code="no_json") from error


def _refuse_constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is no number that can be stored", code="bad_fact")


def _open(path: Path) -> IO[bytes]:
    """Open a file, compressed or not, by its first bytes and not by its name."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzip else path.open("rb")


def origin_of(path: Path) -> str:
    """Return the name of a file for messages and storage; on disk it may hold bytes that are not text."""
    return path.name.encode("utf-8", "replace").decode()


def _import_batch(batch: list[tuple[int, ParsedTree]], path: Path, policy: TreePolicy, result: ImportResult) -> None:
    ids = [tree.id for _, tree in batch]
    existing = set(MessageTree.objects.filter(pk__in=ids).values_list("pk", flat=True))
    new = []
    numbers: dict[UUID, int] = {}
    for number, tree in batch:
        if tree.id in existing:
            result.skipped += 1
        else:
            existing.add(tree.id)
            new.append(tree)
            numbers[tree.id] = number
    if not new:
        return
    try:
        with transaction.atomic():
            _insert(new, origin_of(path), policy)
    except DatabaseError:
        _find_refused(new, numbers, path, policy)
        raise
    for tree in new:
        if TABLE[tree.state].offers:
            openings.reconcile(lock_tree(tree.id, policy))
    result.trees += len(new)
    result.messages += sum(len(tree.messages) for tree in new)


def _find_refused(trees: list[ParsedTree], numbers: dict[UUID, int], path: Path, policy: TreePolicy) -> None:
    """Try each tree alone to find the line that the database refuses. Raise Conflict or Invalid. Return if the database
    itself failed.
    """
    for tree in trees:
        where = f"{origin_of(path)}, line {numbers[tree.id]}"
        try:
            with transaction.atomic():
                _insert([tree], origin_of(path), policy)
        except IntegrityError as error:
            raise Conflict(f"{where}: a message id is already used in another tree", code="message_id_taken") from error
        except DatabaseError as error:
            if isinstance(error, DataError) or isinstance(error.__cause__, ProgramLimitExceeded):
                reason = str(error).split("\n")[0]
                raise Invalid(f"{where}: the database cannot keep it: {reason}", code="not_storable") from error
            raise


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
    publishing.publish(
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
        text_digest=hash_text(text),
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
