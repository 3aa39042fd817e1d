"""Import message trees from files of any known format (`trees.interchange.reading`).

Two passes. The first reads all files to their ends, checks every tree, asks the database which of them are here, and
writes nothing: a bad line changes nothing. What passed waits in a temporary file. The second pass writes it in batches,
each its own transaction, so an import of any size needs little memory and holds no lock for long. Existing trees are
skipped: an import that was killed is finished by running it again.

Texts are stored unchanged; the rules for submitted texts do not apply.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from uuid import UUID

import zstandard
from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.utils import timezone
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from psycopg.errors import ProgramLimitExceeded

from oasst.core.errors import Conflict, Invalid
from trees.contributing.posting import hash_text
from trees.interchange.copying import copy_rows
from trees.interchange.format import ParsedMessage, ParsedTree, parse_tree
from trees.interchange.progress import Progress, no_progress
from trees.interchange.reading.temporary_database import room_on_disk, temporary_database
from trees.interchange.reading.trees import FoundTree, TreeReader
from trees.lifecycle import openings
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import TABLE, State
from trees.models import Happening, Message, MessageTree, Revision, TreeTransition
from trees.outbox import publishing

BATCH = 100  # trees per batch: a few statements each
BATCH_BYTES = 20_000_000  # a batch is held in memory; its last tree may exceed this
LISTED_REFUSALS = 100


@dataclass
class ImportResult:
    """What was imported, or in a dry run would be."""

    trees: int = 0
    messages: int = 0
    skipped: int = 0  # trees that are here already, or repeated in the files
    licensed: int = 0  # of the skipped ones, those that had no license
    other_license: int = 0
    languages: Counter[str] = field(default_factory=Counter)  # messages
    states: Counter[str] = field(default_factory=Counter)  # trees
    formats: set[str] = field(default_factory=set)
    refused: int = 0
    refusals: list[str] = field(default_factory=list)  # the first LISTED_REFUSALS


def import_files(
    paths: Iterable[Path],
    *,
    policy: TreePolicy,
    to_backlog: bool = False,
    license: str = "",
    format_name: str | None = None,
    skip_refused: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportResult:
    """Import all trees of the files. Raise Invalid or Conflict with file and line.

    With `to_backlog` the trees wait for ranking, whatever their state in the file. `license` is why their messages may
    be published (`clean_license`); trees that were imported before without one get it. The format is recognized unless
    `format_name` says it. With `skip_refused` bad lines are listed and left out; without it the first one ends the
    import before anything is written. A dry run lists them too, and writes nothing.
    """
    run = _Import(policy, to_backlog, license, progress, lists_refusals=skip_refused or dry_run)
    with _waiting_trees() as waiting:
        run.check(list(paths), format_name, None if dry_run else waiting)
        if not dry_run:
            run.result.trees = run.result.messages = 0
            for tree_ids in waiting.here() if license else ():
                run.add_license(tree_ids)
            with progress("Writing", waiting.count, "trees") as advance:
                for origin, batch in waiting.batches():
                    run.write_batch(batch, origin)
                    advance(len(batch))
    return run.result


@dataclass
class _Import:
    policy: TreePolicy
    to_backlog: bool
    license: str
    progress: Progress
    lists_refusals: bool
    result: ImportResult = field(default_factory=ImportResult)

    # --- The first pass ---

    def check(self, files: Sequence[Path], format_name: str | None, waiting: "_WaitingTrees | None") -> None:
        """Read and check all files; let the trees wait that are not here. Raise Invalid or Conflict."""
        total = sum(path.stat().st_size for path in files if path.is_file())
        with self.progress("Checking", total, "B") as advance:
            reader = TreeReader(format_name=format_name, refuse=self._refuse, advance=advance)
            for batch in _batches(reader.read(files)):
                for found in self._not_here(batch, waiting):
                    self._count(found.parsed)
                    if waiting is not None:
                        waiting.add(found)
        self.result.skipped += reader.repeated
        self.result.formats = reader.formats

    def _refuse(self, error: Invalid | Conflict) -> None:
        if not self.lists_refusals:
            raise error
        self.result.refused += 1
        if len(self.result.refusals) < LISTED_REFUSALS:
            self.result.refusals.append(error.message)

    def _not_here(self, batch: Sequence[FoundTree], waiting: "_WaitingTrees | None") -> Iterator[FoundTree]:
        """Yield the trees that are not in the database; refuse those with a message of another tree. Two statements."""
        here = _existing(found.parsed.id for found in batch)
        new = [found for found in batch if found.parsed.id not in here]
        self.result.skipped += len(batch) - len(new)
        if waiting is not None:
            waiting.add_here(here)
        ids = [message.id for found in new for message in found.parsed.messages]
        taken = set(Message.objects.filter(pk__in=ids).values_list("pk", flat=True))
        for found in new:
            if taken and not taken.isdisjoint(message.id for message in found.parsed.messages):
                self._refuse(_message_id_taken(str(found.place)))
            else:
                yield found

    def _count(self, tree: ParsedTree) -> None:
        self.result.trees += 1
        self.result.messages += len(tree.messages)
        self.result.languages.update(message.node["lang"] for message in tree.messages)
        self.result.states[self._state(tree).value] += 1

    def _state(self, tree: ParsedTree) -> State:
        return State.BACKLOG_RANKING if self.to_backlog else tree.state

    # --- The second pass ---

    def add_license(self, tree_ids: Collection[UUID]) -> None:
        """Give trees that were imported without a license this one."""
        imported = MessageTree.objects.filter(pk__in=tree_ids, messages__parent=None, messages__imported__isnull=False)
        self.result.other_license += imported.exclude(license__in=("", self.license)).count()
        without = list(imported.filter(license="").values_list("pk", flat=True))
        changed = MessageTree.objects.filter(pk__in=without, license="").update(license=self.license)
        self.result.licensed += changed

    def write_batch(self, batch: Sequence[tuple[str, ParsedTree]], origin: str) -> None:
        """Write trees with their places in one transaction, or one by one to find the one that the database refuses."""
        for _, tree in batch:
            tree.state = self._state(tree)
        try:
            self._write([tree for _, tree in batch], origin)
        except DatabaseError as error:
            if not (isinstance(error, IntegrityError) or _is_about_the_data(error)):
                raise
            for place, tree in batch:
                self._write_alone(place, tree, origin)

    def _write_alone(self, place: str, tree: ParsedTree, origin: str) -> None:
        """Write one tree; another import may have brought it meanwhile. Raise Conflict or Invalid."""
        try:
            self._write([tree], origin)
        except IntegrityError as error:
            if not _existing([tree.id]):
                raise _message_id_taken(place) from error
            self.result.skipped += 1
        except DatabaseError as error:
            if not _is_about_the_data(error):
                raise
            reason = str(error).split("\n")[0][:200]
            raise Invalid(f"{place}: the database cannot keep it: {reason}", code="not_storable") from error

    def _write(self, trees: Sequence[ParsedTree], origin: str) -> None:
        with transaction.atomic(durable=True):
            here = _existing(tree.id for tree in trees)
            new = [tree for tree in trees if tree.id not in here]
            if new:
                _insert(new, origin, self.policy, self.license)
            for tree in new:
                if TABLE[tree.state].offers:
                    openings.reconcile(lock_tree(tree.id, self.policy))
        self.result.trees += len(new)
        self.result.messages += sum(len(tree.messages) for tree in new)
        self.result.skipped += len(here)


def clean_license(text: str | None) -> str:
    """Return the usual spelling of an SPDX license or expression, or "" for none. Raise Invalid."""
    if text is None:
        return ""
    try:
        license = str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as error:
        raise Invalid(
            f"{text!r} is no SPDX license. https://spdx.org/licenses lists them, such as CC-BY-4.0; LicenseRef-… names "
            "one of your own.",
            code="license",
            field="license",
        ) from error
    longest = MessageTree._meta.get_field("license").max_length
    if longest is not None and len(license) > longest:
        raise Invalid(f"A license has at most {longest} characters.", code="license", field="license")
    return license


def _batches(found: Iterable[FoundTree]) -> Iterator[list[FoundTree]]:
    """Yield the trees in batches bounded in trees and bytes."""
    batch: list[FoundTree] = []
    size = 0
    for one in found:
        batch.append(one)
        size += one.size
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _existing(ids: Iterable[UUID]) -> set[UUID]:
    return set(MessageTree.objects.filter(pk__in=list(ids)).values_list("pk", flat=True))


def _message_id_taken(place: str) -> Conflict:
    return Conflict(f"{place}: a message id is already used in another tree", code="message_id_taken")


def _is_about_the_data(error: DatabaseError) -> bool:
    return isinstance(error, DataError) or isinstance(error.__cause__, ProgramLimitExceeded)


class _WaitingTrees:
    """Checked trees on disk, in the order of the files."""

    def __init__(self, database: Connection) -> None:
        self._database = database
        self._compressor, self._decompressor = zstandard.ZstdCompressor(1), zstandard.ZstdDecompressor()
        self.count = 0

    def add(self, found: FoundTree) -> None:
        data = self._compressor.compress(json.dumps(found.node).encode())
        values = (found.place.file, str(found.place), found.size, data)
        self._database.execute("INSERT INTO waiting (file, place, size, data) VALUES (?, ?, ?, ?)", values)
        self.count += 1

    def add_here(self, tree_ids: Iterable[UUID]) -> None:
        self._database.executemany("INSERT INTO here (id) VALUES (?)", [(one.bytes,) for one in tree_ids])

    def here(self) -> Iterator[list[UUID]]:
        """Yield the ids of the trees that the database had before, in batches."""
        rows = self._database.execute("SELECT id FROM here")
        while batch := rows.fetchmany(BATCH):
            yield [UUID(bytes=row[0]) for row in batch]

    def batches(self) -> Iterator[tuple[str, list[tuple[str, ParsedTree]]]]:
        """Yield (file, [(place, tree)]), bounded in trees and bytes."""
        batch: list[tuple[str, ParsedTree]] = []
        size, last = 0, ""
        rows = self._database.execute("SELECT file, place, size, data FROM waiting ORDER BY number")
        for file, place, length, data in rows:
            if batch and (file != last or len(batch) == BATCH or size >= BATCH_BYTES):
                yield last, batch
                batch, size = [], 0
            batch.append((place, parse_tree(json.loads(self._decompressor.decompress(data)))))
            size, last = size + length, file
        if batch:
            yield last, batch


@contextmanager
def _waiting_trees() -> Iterator[_WaitingTrees]:
    database = temporary_database(
        "CREATE TABLE waiting (number INTEGER PRIMARY KEY, file TEXT, place TEXT, size INTEGER, data BLOB);"
        "CREATE TABLE here (id BLOB);"
    )
    with closing(database), room_on_disk():
        yield _WaitingTrees(database)


def _insert(trees: list[ParsedTree], origin: str, policy: TreePolicy, license: str) -> None:
    now = timezone.now()
    MessageTree.objects.bulk_create(
        MessageTree(
            id=tree.id,
            state=tree.state.value,
            lang=tree.lang,
            goal_tree_size=sizes.goal_tree_size,
            max_depth=sizes.max_tree_depth,
            max_children_count=sizes.max_children_count,
            origin=origin[:1024],
            license=license,
        )
        for tree, sizes in ((tree, policy.in_language(tree.lang)) for tree in trees)
    )
    messages = [_message(tree, parsed, now) for tree in trees for parsed in tree.messages]
    copy_rows(messages)
    copy_rows([Revision(id=m.pk, message=m, text=m.text, created_at=m.created_at) for m in messages])
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
