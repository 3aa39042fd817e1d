"""Metadata for programs: front matter of the Hugging Face hub, citation file, licenses. Pure.

Strings are written as JSON, which is valid YAML.
"""

import json
from collections.abc import Mapping
from typing import Any

from trees.interchange.card.published import Published
from trees.interchange.card.words import OUR_LICENSE, day_in_words, license_of
from trees.interchange.figures_of_people import UNKNOWN
from trees.interchange.forms import FORMS

OUR_LICENSE_NAME = "Creative Commons Attribution 4.0 International"
OUR_LICENSE_URL = "https://creativecommons.org/licenses/by/4.0/"
HUB_LICENSES = frozenset(
    {
        "afl-3.0", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0", "mit", "odbl", "odc-by", "pddl",
        "unlicense",
    }
)  # fmt: skip
"""What the hub knows of https://spdx.org/licenses; it calls all others "other"."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGEST = "10M<n<100M"


def licenses(figures: Mapping[str, Any]) -> list[str]:
    """Return the licenses of the messages, that of the site's own terms first."""
    found = {license_of(basis) for basis in figures["bases"]}
    return sorted(found, key=lambda name: (name != OUR_LICENSE, name.lower())) or [OUR_LICENSE]


def front_matter(published: Published, figures: Mapping[str, Any]) -> str:
    """Return the YAML by which the hub and `datasets.load_dataset` find licenses, languages and files."""
    spoken = sorted(lang for lang in figures["messages"]["by_lang"] if lang != UNKNOWN)
    known = [name.lower() if name.lower() in HUB_LICENSES else "other" for name in licenses(figures)]
    lines = ["---", f"pretty_name: {_quoted(published.title)}"]
    lines += _list("license", list(dict.fromkeys(known)))
    lines += _list("language", sorted({lang.partition("-")[0].lower() for lang in spoken}))
    lines += _list("language_bcp47", [lang for lang in spoken if "-" in lang])
    lines += _list("size_categories", [_size(figures["messages"]["total"])])
    lines += _list("task_categories", ["text-generation"])
    lines += _list("annotations_creators", ["crowdsourced"])
    lines += _list("tags", ["conversational", "human-feedback", "preference", "sft", "dpo", "kto"])
    configs = [(form.name, tables) for form in FORMS if (tables := published.tables(form.name))]
    lines += ["configs:"] if configs else []
    for name, tables in configs:
        lines += [f"- config_name: {name}", *(["  default: true"] if name == "messages" else []), "  data_files:"]
        for table in tables:
            lines += [f"  - split: {table.split}", f"    path: {_quoted(table.path)}"]
    return "\n".join([*lines, "---", ""])


def citation(published: Published, figures: Mapping[str, Any]) -> str:
    """Return a citation file (https://citation-file-format.github.io, version 1.2.0)."""
    known = [name for name in licenses(figures) if name.lower() in HUB_LICENSES]
    lines = [
        "cff-version: 1.2.0",
        "message: If you use this data set, please cite it as below.",
        "type: dataset",
        f"title: {_quoted(published.title)}",
        f"version: {_quoted(published.name)}",
        f"date-released: {_quoted(published.date)}",
        "authors:",
        f"  - name: {_quoted(authors(published))}",
        *_list("license", known, indent="  "),
        *([f"url: {_quoted(published.url)}"] if published.url else []),
        "identifiers:",
        "  - type: other",
        f"    value: {_quoted('sha256:' + published.manifest['source_sha256'])}",
        "    description: SHA-256 over the frozen trees",
        f"abstract: {_quoted(abstract(published, figures))}",
        "keywords:",
        *(f"  - {word}" for word in ("conversations", "human feedback", "preferences", "large language models")),
        "",
    ]
    return "\n".join(lines)


def abstract(published: Published, figures: Mapping[str, Any]) -> str:
    messages, trees = figures["messages"], figures["trees"]
    languages = len(messages["by_lang"].keys() - {UNKNOWN})
    return (
        f"Conversations for training assistants: {messages['total']:,} messages in {trees['total']:,} trees, in "
        f"{languages} {'language' if languages == 1 else 'languages'}, frozen "
        f"on {day_in_words(published.date)}."
    )


def authors(published: Published) -> str:
    return f"The contributors of {published.site}"


def bibtex(published: Published) -> str:
    key = "".join(character for character in f"{published.site}{published.name}" if character.isalnum()).lower()
    lines = [
        f"@misc{{{key if key.isascii() and key else 'dataset'},",
        f"  title  = {{{_tex(published.title)}}},",
        f"  author = {{{{{_tex(authors(published))}}}}},",
        f"  year   = {{{published.date[:4]}}},",
        f"  note   = {{Snapshot {_tex(published.name)}, SHA-256 {published.manifest['source_sha256']}}},",
        *([f"  url    = {{{_tex(published.url)}}},"] if published.url else []),
        "}",
    ]
    return "\n".join(lines)


def license_text(published: Published, figures: Mapping[str, Any]) -> str:
    """Return which license applies to what. The full text is at its address, which the license allows to cite."""
    names = licenses(figures)
    lines = [f"{published.title}", ""]
    if OUR_LICENSE in names:
        lines += [
            f"Contributions under the terms of {published.site}, and this collection, are licensed under",
            f"{OUR_LICENSE_NAME} ({OUR_LICENSE}):",
            OUR_LICENSE_URL,
            f"Legal code: {OUR_LICENSE_URL}legalcode",
            "",
            "You may share and adapt the material for any purpose, even commercially, if you give appropriate credit,",
            "provide a link to the license, and indicate if changes were made. This credit is enough:",
            "",
            f"    {authors(published)}: {published.title} ({published.date[:4]}), {OUR_LICENSE}.",
            "",
        ]
    if OUR_LICENSE not in names:
        lines += ["All messages were imported and keep the licenses of their sources. NOTICE lists them; the column"]
        lines += ["`basis` names that of each message.", ""]
    elif names != [OUR_LICENSE]:
        lines += [
            "Other messages have other licenses. NOTICE lists them; the column `basis` names that of each message.",
            "",
        ]
    return "\n".join(lines)


def notice(figures: Mapping[str, Any]) -> str | None:
    """Return a table of the messages by what allows their publication, or None if all are under the site's terms."""
    if licenses(figures) == [OUR_LICENSE]:
        return None
    rows = [("License", "Basis", "Messages")]
    for basis, found in sorted(figures["bases"].items()):
        rows.append((license_of(basis), basis, f"{found['messages']:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(["This data set contains messages under these licenses:", "", *lines, ""])


def _list(key: str, values: list[str], indent: str = "") -> list[str]:
    return [f"{key}:", *(f"{indent}- {_quoted(value)}" for value in values)] if values else []


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _size(messages: int) -> str:
    return next((name for limit, name in SIZES if messages < limit), LARGEST)


def _tex(text: str) -> str:
    return "".join(f"\\{character}" if character in "#$%&_{}" else character for character in text if character != "\\")
