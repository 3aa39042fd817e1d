"""The files that explain a snapshot: what people read, and what programs read."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.paths import ROOT
from tests.trees.interchange.made_snapshot import (
    MACHINE_READING,
    digest,
    figures_of,
    manifest_of,
    sample,
    small_collection,
)
from trees.interchange.card.columns import COLUMNS, ELSEWHERE, meaning
from trees.interchange.card.croissant import DATA_TYPES
from trees.interchange.card.words import basis_in_words, license_of
from trees.interchange.data_card import card_files
from trees.interchange.figures import Figures
from trees.interchange.forms import FORMS

PLOTS = (
    "agreement",
    "duplicates",
    "languages",
    "lengths",
    "licenses",
    "months",
    "near_duplicates",
    "orders",
    "sizes",
    "states",
    "topics",
    "toxicity",
)


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return figures_of(small_collection())


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return manifest_of(small_collection(), **MACHINE_READING)


@pytest.fixture(scope="module")
def files(manifest: dict[str, Any], figures: dict[str, Any]) -> dict[str, bytes]:
    return card_files(manifest, figures)


@pytest.fixture(scope="module")
def unjudged() -> dict[str, bytes]:
    """The card of a file that says nothing of people, dates and scores."""
    return card_files(manifest_of(sample()), figures_of(sample()))


class TestWords:
    def test_a_client_that_vouches_for_people(self) -> None:
        basis = "client 0a1b2c3d-0000-4000-8000-000000000000"
        assert (license_of(basis), basis_in_words(basis)) == ("CC-BY-4.0", "CC-BY-4.0 (API client)")


class TestTheSameBytes:
    def test_whatever_the_order_of_hashes(self, files: dict[str, bytes]) -> None:
        """This process has a random order, the other one a fixed one."""
        run = subprocess.run(
            [sys.executable, "-m", "tests.trees.interchange.made_snapshot"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "4242", "DJANGO_SETTINGS_MODULE": "oasst.settings_test"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == digest(files)

    def test_whatever_the_order_of_keys(self, manifest: dict[str, Any], figures: dict[str, Any]) -> None:
        def turned(value: Any) -> Any:
            return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

        first, second = card_files(manifest, figures), card_files(turned(manifest), turned(figures))
        assert [path for path in first if first[path] != second[path]] == []

    def test_no_clock_and_no_host(self, files: dict[str, bytes]) -> None:
        everything = b"".join(files.values()).decode()
        assert str(ROOT) not in everything
        assert set(re.findall(r"https?://[^\s\"')>\\]+", everything)) == {
            "http://mlcommons.org/croissant/",
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/",
            "http://purl.org/dc/terms/",
            "http://www.w3.org/2000/svg",
            "https://creativecommons.org/licenses/by/4.0/",
            "https://creativecommons.org/licenses/by/4.0/legalcode",
            "https://schema.org/",
        }


class TestColumns:
    def test_each_is_explained(self) -> None:
        used = {(form.name, column) for form in FORMS for column in form.columns}
        assert all(meaning(form, column).endswith(".") for form, column in used)
        assert COLUMNS.keys() <= {column for _, column in used}
        assert ELSEWHERE.keys() <= used

    def test_a_column_of_conversations_is_not_taken_for_tokens(self) -> None:
        assert not [form.name for form in FORMS if "messages" in form.columns and "labels" in form.columns]


class TestReadme:
    def front_matter(self, files: dict[str, bytes]) -> Any:
        return yaml.safe_load(files["README.md"].decode().split("---\n")[1])

    def test_the_hub_learns_licenses_languages_and_size(self, files: dict[str, bytes]) -> None:
        facts = self.front_matter(files)
        assert (facts["license"], facts["language"]) == (["cc-by-4.0", "mit"], ["de", "en", "pt"])
        assert (facts["language_bcp47"], facts["size_categories"]) == (["pt-BR"], ["n<1K"])

    def test_each_form_with_rows_is_a_configuration(self, files: dict[str, bytes], manifest: dict[str, Any]) -> None:
        configs = {config["config_name"]: config["data_files"] for config in self.front_matter(files)["configs"]}
        expected = {
            form: [{"split": split, "path": f"data/{form}/{split}.parquet"} for split, number in rows.items() if number]
            for form, rows in manifest["counts"]["rows"].items()
        }
        assert configs == {form: tables for form, tables in expected.items() if tables}

    def test_a_split_without_rows_is_not_offered(self, unjudged: dict[str, bytes]) -> None:
        """`datasets` refuses the whole configuration because of it."""
        configs = self.front_matter(unjudged)["configs"]
        assert {config["config_name"] for config in configs}.isdisjoint({"review_events", "ranking_events"})
        assert {table["split"] for config in configs for table in config["data_files"]} == {"train", "validation"}

    def test_plots_are_shown_with_a_text_instead(self, files: dict[str, bytes]) -> None:
        shown = dict(re.findall(r"!\[(.+)\]\(plots/(\w+)\.svg\)", files["README.md"].decode()))
        assert sorted(shown.values()) == sorted(PLOTS)
        assert "alpha" not in next(text for text in shown if text.startswith("Messages by language"))
        assert any("de 80; en 80" in text for text in shown)

    @pytest.mark.slow  # the library takes seconds to import
    def test_datasets_loads_every_form(self, tmp_path: Path) -> None:
        records = sample()
        manifest = manifest_of(records, tmp_path)
        (tmp_path / "README.md").write_bytes(card_files(manifest, figures_of(records))["README.md"])
        program = (
            "import json, sys; from datasets import load_dataset, disable_progress_bars; disable_progress_bars();"
            "forms = ('messages', 'prompts', 'threads', 'pairs', 'rankings', 'kto');"
            "load = lambda form: load_dataset(sys.argv[1], form, cache_dir=sys.argv[2]);"
            "print(json.dumps({form: {split: len(rows) for split, rows in load(form).items()} for form in forms}))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(tmp_path / "cache")],
            env=os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        rows = manifest["counts"]["rows"].items()
        expected = {form: {split: number for split, number in splits.items() if number} for form, splits in rows}
        assert json.loads(run.stdout) == {form: splits for form, splits in expected.items() if splits}


class TestPage:
    def test_it_needs_nothing_else(self, files: dict[str, bytes]) -> None:
        page = Page(files["card.html"].decode())
        assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
        assert not [style for style in page.styles if "url(" in style or "@import" in style]

    def test_links_lead_to_parts_and_files_that_exist(self, files: dict[str, bytes], manifest: dict[str, Any]) -> None:
        page = Page(files["card.html"].decode())
        assert len(page.ids) == len(set(page.ids))
        inside = {link[1:] for link in page.links if link.startswith("#")}
        assert inside <= set(page.ids)
        outside = {link for link in page.links if not link.startswith(("#", "https://creativecommons.org/"))}
        assert outside == set(manifest["files"])

    def test_it_has_all_plots_and_the_text_of_the_readme(self, files: dict[str, bytes]) -> None:
        page = files["card.html"].decode()
        assert page.count('role="img"') == len(PLOTS)
        titles = re.findall(r"^## (.+)$", files["README.md"].decode(), re.MULTILINE)
        assert titles == re.findall(r"<h2[^>]*>(.+)</h2>", page)

    @pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a|b", "[x](javascript:1)", "`_*"])
    def test_names_are_shown_as_they_are(self, name: str, figures: dict[str, Any]) -> None:
        evil = json.loads(json.dumps(figures))
        evil["messages"]["by_lang"][name] = 10**6
        evil["bases"][f"license {name}"] = {"messages": 1, "people": 0}
        topics = {"topics": [{"lang": name, "name": name, "prompts": 1}], "unknown": 0}
        manifest = manifest_of([], left_out={"messages": {name: 3}}, topics=topics)
        page = card_files(manifest, evil)["card.html"].decode()
        found = Page(page)
        assert "script" not in found.tags
        assert not [link for link in found.links if link.startswith("javascript")]
        assert {name, name.replace("_", " ")} <= set(found.cells)


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.styles: list[str] = []
        self.cells: list[str] = []  # texts of table cells
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [value for key in ("href", "src") if (value := values.get(key))]
        self.styles += [value for key, value in attrs if key == "style" and value]

        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self.cells.append("")


class Watched(dict[str, Any]):
    """A dictionary that notes the paths of what is read, in itself and below."""

    def __init__(self, value: dict[str, Any], path: str, read: set[str]) -> None:
        super().__init__({key: watched(part, f"{path}.{key}", read) for key, part in value.items()})
        self.path, self.read = path, read

    def __getitem__(self, key: str) -> Any:
        self.read.add(f"{self.path}.{key}")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(f"{self.path}.{key}")
        return super().get(key, default)

    def items(self) -> Any:
        self.read.update(f"{self.path}.{key}" for key in self)
        return super().items()

    def values(self) -> Any:
        self.read.update(f"{self.path}.{key}" for key in self)
        return super().values()


def watched(value: Any, path: str, read: set[str]) -> Any:
    if isinstance(value, dict):
        return Watched(value, path, read)
    return [watched(part, path, read) for part in value] if isinstance(value, list) else value


def paths_in(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {one for key, part in value.items() for one in {f"{path}.{key}", *paths_in(part, f"{path}.{key}")}}
    return {one for part in value for one in paths_in(part, path)} if isinstance(value, list) else set()


def test_each_figure_is_shown(manifest: dict[str, Any], figures: dict[str, Any]) -> None:
    read: set[str] = set()
    card_files(manifest, watched(figures, "", read))
    assert paths_in(figures) - read == set()


class TestPlots:
    def test_each_says_in_words_what_it_shows(self, files: dict[str, bytes]) -> None:
        plots = {path: content for path, content in files.items() if path.startswith("plots/")}
        assert sorted(plots) == [f"plots/{name}.svg" for name in PLOTS]
        for content in plots.values():
            root = ElementTree.fromstring(content)  # noqa: S314
            texts = [root.findtext(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc")]
            assert all(texts)
            assert b"()" not in content, "values without a unit"
            assert b"prefers-color-scheme: dark" in content

    def test_what_is_unknown_has_no_plot(self, unjudged: dict[str, bytes]) -> None:
        plots = {path for path in unjudged if path.startswith("plots/")}
        assert plots == {f"plots/{name}.svg" for name in ("languages", "lengths", "licenses", "sizes", "states")}
        readme = unjudged["README.md"].decode()
        for sentence in (
            "Toxicity is unknown: no machine scored these messages.",
            "Topics are unknown: no machine grouped these prompts.",
            "How many texts nearly repeat an earlier one is unknown: no machine compared them.",
            "Unknown: this snapshot has no judgments by several people about the same text.",
            "575 messages have no date.",
            "Machines wrote 14 of the messages.",
            "| Wrote | unknown | 0 | 575 | – | – |",
        ):
            assert sentence in readme

    def test_topics_and_near_duplicates_say_what_they_do_not_know(self, files: dict[str, bytes]) -> None:
        readme = " ".join(files["README.md"].decode().split())
        for sentence in (
            "The topic of 25 prompts is unknown.",
            "| bread, oven | en | 31 |",
            "7 of 50 initial prompts and 0 of 180 other messages are nearly the same as an earlier one of their",
            "10 messages were not compared.",
        ):
            assert sentence in readme

    def test_an_empty_snapshot_has_a_card(self) -> None:
        files = card_files(manifest_of([]), Figures().result())
        assert "This snapshot is empty." in files["README.md"].decode()
        assert not [path for path in files if path.startswith("plots/")]


class TestCitation:
    def test_it_has_what_the_format_requires(self, files: dict[str, bytes], manifest: dict[str, Any]) -> None:
        cited = yaml.safe_load(files["CITATION.cff"])
        assert {"cff-version", "message", "title", "authors"} <= cited.keys()
        assert (cited["cff-version"], cited["type"], cited["version"]) == ("1.2.0", "dataset", "2026.1")
        assert (cited["license"], cited["date-released"]) == (["CC-BY-4.0", "MIT"], "2026-06-30")
        assert cited["identifiers"][0]["value"] == f"sha256:{manifest['source_sha256']}"
        assert "url" not in cited

    def test_a_site_with_an_address_is_named(self, figures: dict[str, Any]) -> None:
        files = card_files(manifest_of([], site_url="https://owl.example"), figures)
        cited = yaml.safe_load(files["CITATION.cff"])
        assert (cited["authors"], cited["url"]) == (
            [{"name": "The contributors of owl.example"}],
            "https://owl.example",
        )


class TestLicenses:
    def test_notice_counts_messages_by_license(self, files: dict[str, bytes]) -> None:
        lines = [line.split() for line in files["NOTICE"].decode().splitlines()]
        assert ["MIT", "license", "MIT", "6"] in lines
        assert ["CC-BY-4.0", "terms", "2", "234"] in lines
        assert b"https://creativecommons.org/licenses/by/4.0/" in files["LICENSE"]

    def test_one_license_needs_no_notice(self, figures: dict[str, Any]) -> None:
        only = figures | {"bases": {"terms 2": {"messages": 240, "people": 9}}}
        assert "NOTICE" not in card_files(manifest_of([]), only)

    def test_imported_texts_are_not_said_to_be_ours(self, unjudged: dict[str, bytes]) -> None:
        assert b"creativecommons" not in unjudged["LICENSE"] + unjudged["README.md"]


class TestCroissant:
    """The properties that https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html requires."""

    def test_files_have_their_digests(self, files: dict[str, bytes], manifest: dict[str, Any]) -> None:
        described = json.loads(files["croissant.json"])
        assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
        assert all(described[key] for key in ("@context", "name", "description", "license", "creator", "datePublished"))
        objects = [one for one in described["distribution"] if one["@type"] == "cr:FileObject"]
        assert {one["contentUrl"]: one["sha256"] for one in objects} == {
            path: facts["sha256"]
            for path, facts in manifest["files"].items()
            if path.endswith(".parquet") and manifest["counts"]["rows"][path.split("/")[1]][Path(path).stem]
        }

    def test_columns_are_those_of_the_forms(self, files: dict[str, bytes]) -> None:
        described = json.loads(files["croissant.json"])
        sets = {one["@id"] for one in described["distribution"] if one["@type"] == "cr:FileSet"}
        found = {}
        for record_set in described["recordSet"]:
            found[record_set["@id"]] = [field["@id"].split("/")[1] for field in record_set["field"]]
            for field in record_set["field"]:
                for part in field.get("subField", [field]):
                    assert part["dataType"] in DATA_TYPES.values()
                    assert part["source"]["fileSet"]["@id"] in sets
                    assert part["source"]["extract"]["column"] == field["@id"].split("/")[1]
        assert found == {form.name: list(form.columns) for form in FORMS}

    def test_ids_are_unique_and_without_spaces(self, files: dict[str, bytes]) -> None:
        described = json.loads(files["croissant.json"])
        defined = [one["@id"] for key in ("distribution", "recordSet") for one in described[key]]
        for record_set in described["recordSet"]:
            for field in record_set["field"]:
                defined += [field["@id"], *(part["@id"] for part in field.get("subField", []))]
        assert len(defined) == len(set(defined))
        assert not [one for one in defined if re.search(r"\s", one)]
