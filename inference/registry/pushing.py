"""Push a model to the Hugging Face hub, as one commit, with a model card that says what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings

from inference.engine.fetching import is_fetched
from inference.folders import folder_of
from inference.models import ServedModel
from inference.registry import stages
from inference.registry.lineage import Ancestor, lineage_of
from oasst.core.errors import Conflict, NotFound
from oasst.core.hub import hub_api, readable_hub_errors, require_token

_KEPT = [".gitattributes", "LICENSE*"]
_MINE = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""Files of a model. What an earlier push brought of these and this one does not bring is removed."""


@dataclass(frozen=True)
class Pushed:
    url: str
    commit: str
    is_new: bool  # the repository did not have these files already


def push(
    name: str,
    repository: str,
    *,
    token: str,
    citations: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    private: bool = False,
) -> Pushed:
    """Push the files of a model with a model card. The repository is made if there is none. Twice changes nothing.

    `citations` has the citation of each snapshot by its name. Raise NotFound `unknown_model`, Conflict (`model_missing`
    without its files, `license` without one), and as `oasst.core.hub`.
    """
    require_token(token)
    row = ServedModel.objects.filter(name=name).first()
    if row is None:
        raise NotFound(f"There is no model called {name[:100]}. `./manage.py models` lists them.", code="unknown_model")
    if not row.license:
        raise Conflict(
            f"The license of {name} is not known, so it cannot be published. `./manage.py models add {name} --license "
            "…` says it.",
            code="license",
        )
    folder = folder_of(name)
    if not is_fetched(folder):
        raise Conflict(f"The files of {name} are not on this machine.", code="model_missing")
    with readable_hub_errors(repository), TemporaryDirectory() as scratch:
        api = hub_api(endpoint, token)
        url = api.create_repo(repository, repo_type="model", private=private, exist_ok=True)
        before = api.model_info(repository).sha
        _fill(Path(scratch), folder, card(row, citations or {}))
        done = api.upload_folder(
            repo_id=repository,
            repo_type="model",
            folder_path=scratch,
            delete_patterns=_MINE,
            commit_message=f"{name}",
            parent_commit=before,
        )
    return Pushed(str(url), done.oid, is_new=done.oid != before)


def card(row: ServedModel, citations: Mapping[str, str]) -> str:
    """Return the model card of the hub: what the model is made of, what its evaluation said, how it is cited."""
    lineage = lineage_of(row)
    parts = [_front_matter(row, lineage), f"# {row.name}\n", _origin(lineage)]
    verdict = stages.verdict_of(row.name)
    if verdict is not None:
        against = f" against {verdict.against_id}" if verdict.against_id else ""
        outcome = "passed" if verdict.passed else "did not pass"
        reasons = "".join(f"- {reason}\n" for reason in verdict.reasons)
        parts.append(
            f"## Evaluation\n\nOn the held-out part of snapshot {verdict.snapshot}{against}; it {outcome} the gate of "
            f"the site.\n\n{reasons}"
        )
    named = [one.run.snapshot for one in lineage if one.run is not None]
    if cited := [citations[snapshot] for snapshot in dict.fromkeys(named) if snapshot in citations]:
        parts.append("## Data\n\n" + "\n\n".join(f"```bibtex\n{one.strip()}\n```" for one in cited) + "\n")
    return "\n".join(parts)


def _front_matter(row: ServedModel, lineage: list[Ancestor]) -> str:
    base = next((one.model.name for one in lineage if "/" in one.model.name and one.model.pk != row.pk), "")
    lines = [f"license: {row.license}", "library_name: transformers", "pipeline_tag: text-generation"]
    lines += [f"base_model: {base}"] if base else []
    return "\n".join(["---", *lines, "---", ""])


def _origin(lineage: list[Ancestor]) -> str:
    lines = []
    for one in lineage:
        if one.run is None:
            lines.append(f"1. {one.model.name}, license {one.model.license or 'unknown'}")
        else:
            lines.append(
                f"1. {one.model.name}: {one.run.method} of {one.run.base} on snapshot {one.run.snapshot} (manifest "
                f"SHA-256 {one.run.snapshot_digest}), {one.run.steps} steps; weights SHA-256 {one.model.digest}"
            )
    return "## What it is made of\n\n" + "\n".join(lines) + f"\n\nMade at {settings.PUBLIC_URL}.\n"


def _fill(scratch: Path, folder: Path, text: str) -> None:
    """Link the files of the model into a folder with the card, so that nothing large is copied."""
    for file in folder.iterdir():
        if file.is_file() and any(file.match(kind) for kind in (*_MINE, *_KEPT)):
            (scratch / file.name).symlink_to(file.resolve())
    (scratch / "README.md").write_text(text)
