"""manage.py oasst_data: convert, filter, clean, split and count files of conversations, without a database."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from oasst.core.errors import Invalid
from oasst.core.json_lines import dump_line
from trees.interchange.file_tools import cleaning, threads
from trees.interchange.file_tools.counting import FileCounts
from trees.interchange.file_tools.filtering import FileFilter
from trees.interchange.file_tools.repeats import FirstOnly
from trees.interchange.file_tools.writing import LINE_ENDINGS, Shape, Written, shape_for, write_file
from trees.interchange.format import Node
from trees.interchange.output import text_file
from trees.interchange.reading.formats import FORMATS
from trees.interchange.reading.trees import TreeReader
from trees.interchange.selection import Inclusion
from trees.interchange.tree_record import SPLITS, split_of
from trees.lifecycle.states import State
from trees.management.file_command import FileCommand
from trees.management.terminal_progress import progress_bar

_SHOWN = 20


class Command(FileCommand):
    help = (
        "Work on files of conversations, without a site or a database, in constant memory. All formats that "
        "import_trees reads are read, whatever their names; the name of an output says how it is written: .jsonl, "
        ".jsonl.gz, .jsonl.zst, or .parquet (messages). A bad line is named, and then no file is written. "
        "Example: ./manage.py oasst_data convert tests/data/trees_en_50.jsonl messages.parquet"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        convert = commands.add_parser("convert", help="write trees or messages in another format")
        _add_files(convert, output=True)
        _add_shape(convert)
        _add_filter(commands.add_parser("filter", help="keep some trees or messages"))
        clean = commands.add_parser(
            "clean", help="delete, replace or edit messages by a sheet", description=cleaning.__doc__
        )
        _add_files(clean, output=True)
        _add_shape(clean)
        clean.add_argument(
            "--sheet", type=Path, required=True, help="CSV or JSON Lines: message_id, action, find, text"
        )
        split = commands.add_parser(
            "split", help="write train, validation and test files: by a hash of the tree's id, as snapshots do"
        )
        _add_files(split)
        split.add_argument("folder", type=Path, help="an existing folder for train.jsonl, validation.jsonl, test.jsonl")
        split.add_argument("--ending", choices=LINE_ENDINGS, default=".jsonl", help="(default: %(default)s)")
        stats = commands.add_parser("stats", help="count trees, messages, languages, states, labels, …")
        _add_files(stats)
        stats.add_argument("--json", action="store_true", help="as a JSON object")
        paths = commands.add_parser("threads", help="list the conversations from each prompt to each last reply")
        _add_files(paths)
        paths.add_argument("--output", type=Path, help="JSON Lines; standard output without it")
        paths.add_argument("--text", action="store_true", help="for reading, not for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['what']}")(options)

    def _convert(self, options: dict[str, Any]) -> None:
        shape = shape_for(options["output"], options["as"])
        with _trees(options) as trees:
            self._report(write_file(trees, options["output"], shape), options["output"])

    def _filter(self, options: dict[str, Any]) -> None:
        chosen = _filter_of(options)
        shape = shape_for(options["output"], options["as"])
        if chosen.is_flat and options["as"] == Shape.TREES:
            raise Invalid("Single messages are not trees: leave out --as trees.", code="options")
        first_only = FirstOnly() if options["without_near_duplicates"] else None
        with _trees(options) as trees, first_only or nullcontext():
            kept = (node for tree in trees for node in chosen.apply(tree))
            if first_only is not None:
                kept = (node for one in kept if (node := first_only.apply(one)) is not None)
            written = write_file(kept, options["output"], Shape.MESSAGES if chosen.is_flat else shape)
        self._report(written, options["output"])
        if first_only is not None:
            self.stderr.write(f"Left out as nearly the same as an earlier one: {first_only.left_out} messages.")

    def _clean(self, options: dict[str, Any]) -> None:
        sheet = cleaning.read_sheet(options["sheet"])
        shape = shape_for(options["output"], options["as"])
        with _trees(options) as trees:
            cleaned = (tree for tree in map(sheet.apply, trees) if tree is not None)
            written = write_file(cleaned, options["output"], shape)
        self._report(written, options["output"])
        self.stderr.write(f"{sheet.deleted} messages deleted with what followed them, {sheet.changed} changed.")
        if unknown := sheet.unknown_ids():
            self.stderr.write(f"No message has these {len(unknown)} ids of the sheet: {_first(unknown)}.")
        if sheet.not_found:
            lines = [str(instruction.line) for instruction in sheet.not_found]
            self.stderr.write(f"The text to find was not there in these lines of the sheet: {_first(lines)}.")

    def _split(self, options: dict[str, Any]) -> None:
        written = dict.fromkeys(SPLITS, 0)
        if not options["folder"].is_dir():
            raise Invalid(f"{options['folder']}: is no folder.", code="output")
        with _trees(options) as trees, ExitStack() as stack:
            files = {
                name: stack.enter_context(text_file(options["folder"] / f"{name}{options['ending']}"))
                for name in SPLITS
            }
            for tree in trees:
                name = split_of(tree["message_tree_id"])
                files[name].write(dump_line(tree) + "\n")
                written[name] += 1
        self.stderr.write(", ".join(f"{name}: {number} trees" for name, number in written.items()) + ".")

    def _stats(self, options: dict[str, Any]) -> None:
        counts = FileCounts()
        with _trees(options) as trees:
            for tree in trees:
                counts.add(tree)
        result = counts.result()
        if options["json"]:
            self.stdout.write(json.dumps(result, indent=2))
            return
        for name, value in result.items():
            self.stdout.write(f"{name.replace('_', ' ')}: {_figures(value)}")

    def _threads(self, options: dict[str, Any]) -> None:
        with _trees(options) as trees:
            found = (thread for tree in trees for thread in threads.threads_of(tree))
            lines = (threads.as_text(one) if options["text"] else dump_line(one) for one in found)
            if options["output"] is None:
                for line in lines:
                    self.stdout.write(line)
                return
            with text_file(options["output"]) as file:
                number = sum(1 for line in lines if file.write(line + "\n"))
        self.stderr.write(f"{number} threads written to {options['output']}.")

    def _report(self, written: Written, output: Path) -> None:
        what = (
            f"{written.trees} trees with {written.messages} messages"
            if written.trees
            else f"{written.messages} messages"
        )
        self.stderr.write(f"{what} written to {output}.")
        if written.misfits:
            columns = ", ".join(f"{name} ({number})" for name, number in sorted(written.misfits.items()))
            self.stderr.write(f"Null, because the values had another type: {columns}.")


@contextmanager
def _trees(options: dict[str, Any]) -> Iterator[Iterable[Node]]:
    """Yield the checked trees of the input files, with a progress bar on a terminal."""
    files: list[Path] = options["files"]
    total = sum(path.stat().st_size for path in files if path.is_file())
    with progress_bar(options["what"].capitalize(), total, "B") as advance:
        reader = TreeReader(format_name=options["format"], advance=advance)
        yield (found.node for found in reader.read(files))


def _add_files(parser: ArgumentParser, *, output: bool = False) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="IN")
    if output:
        parser.add_argument("output", type=Path, metavar="OUT")
    parser.add_argument("--format", choices=[one.name for one in FORMATS], help="of IN, if it is not to be recognized")


def _add_shape(parser: ArgumentParser) -> None:
    parser.add_argument("--as", choices=list(Shape), help="what OUT holds; default: trees, and messages in Parquet")


def _add_filter(parser: ArgumentParser) -> None:
    _add_files(parser, output=True)
    _add_shape(parser)
    parser.add_argument(
        "--state", action="append", default=[], choices=[state.value for state in State], help="of trees"
    )
    parser.add_argument("--lang", action="append", default=[], help="of trees; may be repeated")
    for kind, meaning in (
        ("deleted", "deleted messages"),
        ("rejected", "messages that reviewers rejected (spam)"),
        ("synthetic", "machine-made messages"),
    ):
        help_text = f"{meaning}: with (default), without them and what follows them, or only them, one by one"
        parser.add_argument(
            f"--{kind}", type=Inclusion, choices=list(Inclusion), default=Inclusion.WITH, help=help_text
        )
    parser.add_argument("--no-synthetic-trees", action="store_true", help="only trees without machine-made text")
    parser.add_argument("--user", help="only messages of the person with this id, one by one")
    parser.add_argument("--prompts-only", action="store_true", help="without replies")
    parser.add_argument("--min-label", type=_threshold, action="append", default=[], metavar="NAME=MEAN")
    parser.add_argument("--max-label", type=_threshold, action="append", default=[], metavar="NAME=MEAN")
    parser.add_argument(
        "--without-near-duplicates",
        action="store_true",
        help="without messages whose wording is nearly that of an earlier one, and what follows them",
    )
    parser.add_argument("--labeled-only", action="store_true", help="without messages that lack a label asked for")


def _filter_of(options: dict[str, Any]) -> FileFilter:
    return FileFilter(
        states=frozenset(options["state"]),
        langs=frozenset(lang.lower() for lang in options["lang"]),
        synthetic_trees=not options["no_synthetic_trees"],
        deleted=options["deleted"],
        rejected=options["rejected"],
        synthetic=options["synthetic"],
        user=options["user"],
        prompts_only=options["prompts_only"],
        at_least=dict(options["min_label"]),
        at_most=dict(options["max_label"]),
        unlabeled=not options["labeled_only"],
    )


def _threshold(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not NAME=MEAN, such as quality=0.5") from None


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _figures(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    parts = (
        f"{name} {part['mean']} ({part['messages']})" if isinstance(part, dict) else f"{name} {part}"
        for name, part in value.items()
    )
    return ", ".join(parts) or "none"
