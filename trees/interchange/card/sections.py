"""The text of the data card: sections of Markdown, plots and details, for README.md and for the page alike. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trees.interchange.card.columns import meaning
from trees.interchange.card.metadata import (
    OUR_LICENSE_NAME,
    OUR_LICENSE_URL,
    authors,
    bibtex,
    licenses,
)
from trees.interchange.card.published import Published
from trees.interchange.card.svg import Chart
from trees.interchange.card.words import (
    OUR_LICENSE,
    basis_in_words,
    choices_in_words,
    day_in_words,
    label_in_words,
    number,
    percent,
    plain,
    reason_in_words,
    role_in_words,
    size,
)
from trees.interchange.figures_of_agreement import ALL
from trees.interchange.figures_of_people import UNKNOWN
from trees.interchange.flat import Type
from trees.interchange.forms import FORMS
from trees.interchange.tree_record import SPLITS


@dataclass(frozen=True)
class Details:
    """A part that a page shows on request."""

    title: str
    markdown: str
    about: str = ""  # shown beside the title


Block = str | Chart | Details


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block]


def sections(published: Published, figures: Mapping[str, Any], plots: Mapping[str, Chart]) -> list[Section]:
    """Return all sections in their order."""
    return [
        Section("load", "Load it", [_loading(published)]),
        Section("forms", "Forms and splits", [_forms(published)]),
        Section("columns", "Columns", list(_columns(published))),
        Section("collection", "How it was collected", [_collection(published)]),
        Section("contents", "What is in it", list(_contents(published, figures, plots))),
        Section("agreement", "How far people agree", list(_agreement(figures, plots))),
        Section("people", "Who contributed, and who may cite how", list(_people(published, figures, plots))),
        Section("quality", "Toxicity and repeated texts", list(_quality(published, figures, plots))),
        Section("left-out", "What was left out", [_left_out(published)]),
        Section("limits", "Known limits", [_limits(published, figures)]),
        Section("withdrawal", "Withdrawal", [_withdrawal(published)]),
        Section("cite", "How to cite", [_cite(published)]),
        Section("files", "Files", [_files(published)]),
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """Return a Markdown table of safe texts; the last `numbers` columns are aligned to the right."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _loading(published: Published) -> str:
    return f"""The folder works with `datasets` as it is. Each form is a configuration:

```python
from datasets import load_dataset

folder = "path/to/{published.name}"
threads = load_dataset(folder, "threads", split="train")
pairs = load_dataset(folder, "pairs", split="train").filter(lambda row: not row["near_tie"])
```

`trl` trains on `threads`, `pairs`, `prompts` and `kto` without conversion. pandas, Polars and DuckDB read the Parquet
files, and every form is there as JSON Lines (zstd) too. `trees/` has whole trees with everything that is known about
them: every other file is made from those."""


def _forms(published: Published) -> str:
    rows = []
    for form in FORMS:
        counts = published.rows(form.name)
        rows.append([f"`{form.name}`", form.description, *(number(counts[split]) for split in SPLITS)])
    return (
        table(["Form", "What it holds", *(split.capitalize() for split in SPLITS)], rows, numbers=3)
        + """

A whole tree is in one split, and stays there in later snapshots: the split follows from a hash of its id (90, 5 and
5 percent). `threads`, `pairs`, `rankings` and `kto` take finished trees only. Every message in them was accepted by
reviewers, was not deleted, and was written by a person; only `kto` also holds rejected replies, as bad ones."""
    )


def _columns(published: Published) -> Iterator[Block]:
    yield "All columns are in every row. Null means unknown, never 0 or no."
    for form in FORMS:
        rows = [[f"`{name}`", type_in_words(kind), meaning(form.name, name)] for name, kind in form.columns.items()]
        yield Details(form.name, table(["Column", "Type", "Meaning"], rows), form.description)


def type_in_words(kind: Type) -> str:
    if isinstance(kind, list):
        return f"list of {type_in_words(kind[0])}" if isinstance(kind[0], str) else f"list of {_parts(kind[0])}"
    return kind if isinstance(kind, str) else _parts(kind)


def _parts(kind: Type) -> str:
    names = list(kind)
    return f"{{{', '.join(names[:4])}{', …' if len(names) > 4 else ''}}}"


def _collection(published: Published) -> str:
    filters = published.manifest["filters"]
    state = filters.get("state")
    which = "finished trees" if state == "ready_for_export" else "trees in any state" if state == "all" else state
    also = [plain(choice) for choice in choices_in_words(filters)]
    lang = f" in the language {plain(filters['lang'])}" if filters.get("lang") else ""
    extra = f" As chosen for this snapshot, {'; '.join(also)}." if also else ""
    return f"""Volunteers write prompts, answer them as an assistant would, and reply to each other's answers, so that
conversations grow into trees. Other volunteers review every text: they answer questions such as whether it is spam,
fits its language, or how good it is. A text is accepted when enough reviewers would keep it. Where a message has
several replies, volunteers put them in order; the orders of several people are combined into one rank (ranked pairs).
Nobody reviews or ranks their own texts.

This snapshot was frozen on {day_in_words(published.date)} and holds {plain(which)}{lang}.{extra} It is the same
bytes whenever it is written again: `manifest.json` names the SHA-256 of each file and of the frozen trees
(`{published.manifest["source_sha256"]}`). Ids of people and messages are pseudonyms."""


def _contents(published: Published, figures: Mapping[str, Any], plots: Mapping[str, Chart]) -> Iterator[Block]:
    messages, trees = figures["messages"], figures["trees"]
    if messages["total"] == 0:
        yield "This snapshot is empty."
        return
    period = (
        f", written from {day_in_words(messages['first_date'])} to {day_in_words(messages['last_date'])}"
        if messages["first_date"]
        else ""
    )
    yield (
        f"{number(messages['total'])} messages in {number(trees['total'])} trees{period}. "
        f"{number(messages['reviews'])} reviews decided about them, as the messages count. "
        f"{number(trees['reviews'])} reviews and {number(trees['rankings'])} rankings are here one by one, as single "
        "people gave them."
    )
    yield from _shown(plots, "languages", "states", "topics", "lengths", "sizes", "months")
    yield from _topics(published)
    rows = [
        [role_in_words(role), *(number(found[part]) for part in ("median", "nine_of_ten", "longest"))]
        for role, found in sorted(figures["lengths"].items(), reverse=True)
    ]
    yield table(["Characters", "Half have at most", "Nine of ten have at most", "Longest"], rows, numbers=3)
    if messages["by_model"]:
        rows = [[plain(model), number(count)] for model, count in messages["by_model"].items()]
        yield Details("Messages that machines wrote", table(["Model", "Messages"], rows, numbers=1))
    if figures["labels"]:
        rows = [
            [plain(label_in_words(name)), number(found["mean"]), number(found["answers"]), number(found["messages"])]
            for name, found in sorted(figures["labels"].items())
        ]
        yield Details("Mean answers of reviewers", table(["Question", "Mean", "Answers", "Messages"], rows, numbers=3))


def _topics(published: Published) -> Iterator[Block]:
    if not published.topics:
        yield "Topics are unknown: no machine grouped these prompts."
        return
    rest = published.prompts_without_topic
    known = f"The topic of {number(rest)} prompts is unknown." if rest else "Each prompt has a topic."
    yield f"""A machine grouped the prompts of each language by their meaning, and named the groups by words that are
frequent in them. {known}"""
    rows = [[plain(name), plain(lang), number(count)] for lang, name, count in published.topics]
    yield Details("All topics", table(["Topic", "Language", "Prompts"], rows, numbers=1))


def _agreement(figures: Mapping[str, Any], plots: Mapping[str, Chart]) -> Iterator[Block]:
    agreement, wrong = figures["agreement"], figures["trees"]["rankings_of_only_wrong_replies"]
    if not agreement["labels"] and not agreement["rankings"]:
        yield "Unknown: this snapshot has no judgments by several people about the same text."
        return
    if agreement["labels"]:
        yield """Krippendorff's alpha compares the answers of several people about the same text with chance: 1 is full
agreement, 0 is chance. Bars are 95 % intervals by a seeded Bayesian bootstrap over the texts. Rare labels have low
values even where people mostly agree."""
        yield from _shown(plots, "agreement", "orders")
        rows = [
            [
                plain(label_in_words(row["label"])),
                plain(row["lang"]) or "all",
                row["distance"],
                _with_interval(row["alpha"], row["low"], row["high"]),
                number(row["messages"]),
            ]
            for row in agreement["labels"]
        ]
        head = ["Label", "Language", "Distance", "Alpha (95 %)", "Texts with several answers"]
        yield Details("Alpha by label and language", table(head, rows, numbers=2))
    if agreement["rankings"]:
        yield """Where several people ranked the same replies: how often two people put two replies in the same order
(one half by chance), and Kendall's W (1 if all orders are equal; one divided by the number of people by chance)."""
        rows = [
            [
                plain(row["lang"]) or "all",
                _with_interval(row["pairwise"], row["pairwise_low"], row["pairwise_high"]),
                _with_interval(row["kendall_w"], row["kendall_w_low"], row["kendall_w_high"]),
                number(row["mean_correlation"]),
                number(row["sets"]),
            ]
            for row in agreement["rankings"]
        ]
        head = ["Language", "Same order (95 %)", "Kendall's W (95 %)", "Mean rank correlation", "Sets of replies"]
        yield table(head, rows, numbers=4)
        if any(row["lang"] == ALL and row["kendall_w"] is None for row in agreement["rankings"]):
            yield "Kendall's W is unknown where people did not rank the same replies."
        if wrong:
            yield f"{number(wrong)} more rankings call all replies wrong. They have no order and are not compared."


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "unknown"
    return number(value) if low is None or high is None else f"{number(value)} ({number(low)} to {number(high)})"


def _people(published: Published, figures: Mapping[str, Any], plots: Mapping[str, Chart]) -> Iterator[Block]:
    people = figures["contributors"]
    rows = [
        [
            activity,
            number(found["people"] or (None if found["by_unknown_people"] else 0)),
            number(found["contributions"]),
            number(found["by_unknown_people"]),
            percent(found["share_of_busiest_tenth"]) if found["people"] else "–",
            number(found["gini"]) if found["people"] else "–",
        ]
        for activity, found in (
            ("Wrote", people["writers"]),
            ("Reviewed", people["reviewers"]),
            ("Ranked", people["rankers"]),
        )
    ]
    head = ["What people did", "People", "Contributions", "By unknown people", "By the busiest tenth", "Gini"]
    yield table(head, rows, numbers=5)
    names = licenses(figures)
    if names == [OUR_LICENSE]:
        yield f"""Everything is licensed under [{OUR_LICENSE_NAME}]({OUR_LICENSE_URL}). Everybody may use it, also
commercially, with the credit “{plain(authors(published))}”."""
    elif OUR_LICENSE not in names:
        yield "Everything was imported and keeps the license of its source, which the column `basis` names."
    else:
        yield f"""What people contributed here is licensed under [{OUR_LICENSE_NAME}]({OUR_LICENSE_URL}), with the
credit “{plain(authors(published))}”. Imported messages keep the license of their source. The column `basis` names
it for each message, and `bases` for each row, so that you can choose: `NOTICE` has the list."""
    yield from _shown(plots, "licenses")
    bases = [
        [plain(basis_in_words(basis)), number(found["messages"]), number(found["people"] or None)]
        for basis, found in sorted(figures["bases"].items(), key=lambda item: (-item[1]["messages"], item[0]))
    ]
    yield table(["Published under", "Messages", "Authors"], bases, numbers=2)


def _quality(published: Published, figures: Mapping[str, Any], plots: Mapping[str, Chart]) -> Iterator[Block]:
    detoxify, repeated = figures["detoxify"], figures["repeated_texts"]
    if detoxify["known"]:
        yield f"""A model scored {number(detoxify["known"])} messages; the scores of {number(detoxify["unknown"])} are
unknown. The scores are a machine's opinion and were not used to accept or reject a text."""
    else:
        yield "Toxicity is unknown: no machine scored these messages."
    counts = [
        f"{number(found['messages'])} {role_in_words(role).lower()} share {number(found['texts'])} texts"
        for role, found in sorted(repeated.items(), reverse=True)
        if found["texts"]
    ]
    if counts:
        across = sum(found["texts_in_several_splits"] for found in repeated.values())
        yield f"""Without regard to case and white space, {" and ".join(counts)}. Repeated texts in more than one split:
{number(across)}; leave them out where you measure memorization."""
    else:
        yield "No text occurs twice, even without regard to case and white space."
    yield _near_duplicates(published)
    yield from _shown(plots, "toxicity", "duplicates", "near_duplicates")
    if detoxify["scores"]:
        rows = [
            [plain(name.replace("_", " ")), f"{found['mean']:.4f}", number(found["count"])]
            for name, found in sorted(detoxify["scores"].items())
        ]
        yield Details("All scores of the model", table(["Score", "Mean", "Messages"], rows, numbers=2))


def _near_duplicates(published: Published) -> str:
    found = published.near_duplicates
    if not found:
        return "How many texts nearly repeat an earlier one is unknown: no machine compared them."
    names = {"prompts": "initial prompts", "replies": "other messages"}
    counts = [
        f"{number(one['near_duplicates'])} of {number(one['compared'])} {names[kind]}"
        for kind, one in sorted(found.items())
    ]
    unknown = sum(one["unknown"] for one in published.manifest["near_duplicates"].values())
    rest = f" {number(unknown)} messages were not compared." if unknown else ""
    return f"""{" and ".join(counts)} are nearly the same as an earlier one of their language, by their wording or, for
initial prompts, by their meaning.{rest}"""


def _left_out(published: Published) -> str:
    rows = [[kind, reason_in_words(reason), number(count)] for kind, reason, count in published.left_out()]
    if not rows:
        return "Nothing that these filters match was left out."
    return "Counted once each, by the first reason that applies:\n\n" + table(
        ["What", "Why", "Number"], rows, numbers=1
    )


def _limits(published: Published, figures: Mapping[str, Any]) -> str:
    messages, people = figures["messages"], figures["contributors"]
    limits = [
        "Volunteers are not a sample of any population. Nothing is known about their age, gender or country.",
        "Texts may be wrong, even accepted ones: reviewers judge what they can check.",
        "Texts may contain personal data or offensive content that reviewers missed or left for learning from it. The "
        "labels `pii`, `hate_speech`, `sexual_content` and `violence` say what reviewers saw.",
        "Labels and ranks are opinions of a few people each. Take the agreement above as an upper limit for what a "
        "model can learn from them.",
    ]
    if len(messages["by_lang"]) > 1:
        lang, most = max(messages["by_lang"].items(), key=lambda item: (item[1], item[0]))
        if most > messages["total"] / 2:
            share_of_it = percent(most / messages["total"])
            limits.append(f"Languages are uneven: {share_of_it} of the messages are in one ({plain(lang)}).")
    machines = sum(messages["by_model"].values())
    if machines:
        limits.append(
            f"Machines wrote {number(machines)} of the messages. No conversation for training has one of them."
        )
    share = people["writers"]["share_of_busiest_tenth"]
    if share is not None and share > 0.3:
        limits.append(f"A few people wrote much of it: the busiest tenth of the authors wrote {percent(share)}.")
    small = [
        split
        for split in SPLITS[1:]
        if sum(published.rows("messages").values()) and published.rows("messages")[split] < 500
    ]
    if small:
        limits.append(f"The splits are small ({' and '.join(small)}): figures measured on them vary by chance.")
    unknown = messages["by_month"].get(UNKNOWN, 0)
    if unknown:
        limits.append(f"{number(unknown)} messages have no date.")
    return "\n".join(f"- {limit}" for limit in limits)


def _withdrawal(published: Published) -> str:
    withdrawn = published.manifest["counts"].get("withdrawn", 0)
    return f"""Authors can withdraw their texts at any time, and a moderator can remove texts that break the law or the
rules. Such messages are not in later snapshots, nor is what was replied to them. `withdrawn.jsonl` lists the pseudonyms
of messages that earlier snapshots had and this one has not for that reason ({number(withdrawn)}). If you publish
derived data, please use the newest snapshot and remove what it lists."""


def _cite(published: Published) -> str:
    return f"""```bibtex
{bibtex(published)}
```

`CITATION.cff` holds the same for reference managers, `LICENSE` what you may do."""


def _files(published: Published) -> str:
    rows = [[f"[{file.path}]({file.path})", size(file.bytes), f"`{file.sha256}`"] for file in published.files()]
    return (
        table(["File", "Size", "SHA-256"], rows)
        + "\n\n`sha256sum --check SHA256SUMS` checks all files. `croissant.json` describes the tables for programs."
    )


def _shown(plots: Mapping[str, Chart], *names: str) -> Iterator[Chart]:
    return (plots[name] for name in names if name in plots)
