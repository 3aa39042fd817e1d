"""Push a snapshot to a data set repository of the Hugging Face hub, as one commit with the name as its tag."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oasst.core.errors import Conflict
from oasst.core.hub import hub_api, readable_hub_errors, require_token
from trees.interchange.snapshots.manifest import MANIFEST, SUMS

_OF_THE_HUB = {".gitattributes", "README.md"}
"""What a repository may have besides a snapshot."""


@dataclass(frozen=True)
class Pushed:
    url: str
    commit: str
    is_new: bool  # the repository did not have these files already


def push(
    folder: Path, name: str, repository: str, *, token: str, endpoint: str | None = None, private: bool = False
) -> Pushed:
    """Push a complete folder. The repository is made if there is none; files of earlier snapshots are replaced there.

    Their commits stay, so each snapshot can be loaded by its tag. Twice changes nothing. A push that was killed has
    changed nothing that readers see.

    Raise Invalid (the name of the repository, no token, refused by the hub), Conflict if the repository has something
    else in it, Busy if the hub cannot be reached.
    """
    require_token(token)
    api = hub_api(endpoint, token)
    with readable_hub_errors(repository):
        url = api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        before = api.dataset_info(repository).sha
        _refuse_other_files(api, repository, before)
        _refuse_other_tag(api, repository, name, (folder / MANIFEST).read_bytes())
        done = api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            delete_patterns="*",
            commit_message=f"Snapshot {name}",
            parent_commit=before,  # refused if somebody adds files meanwhile, which would be deleted
        )
        api.create_tag(repository, repo_type="dataset", tag=name, revision=done.oid, exist_ok=True)
    return Pushed(str(url), done.oid, is_new=done.oid != before)


def _refuse_other_files(api: Any, repository: str, commit: str) -> None:
    """Raise Conflict if the push would delete what no snapshot brought."""
    there = set(api.list_repo_files(repository, repo_type="dataset", revision=commit)) - _OF_THE_HUB
    known: set[str] = set()
    if MANIFEST in there:
        with suppress(ValueError, TypeError, KeyError):
            known = {MANIFEST, SUMS, *json.loads(_manifest(api, repository, commit))["files"]}
    if others := sorted(there - known):
        raise Conflict(
            f"{repository} holds something else than a snapshot: {others[0]}. Choose another repository, or empty this "
            "one.",
            code="hub_repository",
        )


def _refuse_other_tag(api: Any, repository: str, name: str, manifest: bytes) -> None:
    """Raise Conflict if the tag is there already for something else."""
    for tag in api.list_repo_refs(repository, repo_type="dataset").tags:
        if tag.name == name and _manifest(api, repository, tag.target_commit) != manifest:
            raise Conflict(
                f"{repository} has a tag {name} of something else. Choose another repository, or delete the tag.",
                code="hub_tag",
            )


def _manifest(api: Any, repository: str, commit: str) -> bytes:
    """Return the manifest of a commit, empty if it has none."""
    from huggingface_hub.errors import EntryNotFoundError

    with TemporaryDirectory() as cache:
        try:
            path = api.hf_hub_download(repository, MANIFEST, repo_type="dataset", revision=commit, cache_dir=cache)
        except EntryNotFoundError:
            return b""
        return Path(path).read_bytes()
