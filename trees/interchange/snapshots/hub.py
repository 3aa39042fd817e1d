"""Push a snapshot to a data set repository of the Hugging Face hub, as one commit with the name as its tag."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oasst.core.errors import Busy, Conflict, Invalid
from trees.interchange.snapshots.manifest import MANIFEST, SUMS

_SECONDS = "30"
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
    if not token:
        raise Invalid(
            "HF_TOKEN is not set. Make a token that may write at https://huggingface.co/settings/tokens.",
            code="hub_token",
        )
    api = _api(endpoint, token)
    with _readable_errors(repository):
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


def _api(endpoint: str | None, token: str) -> Any:
    # Read when the library is imported. By the older protocol the hub names each file by its SHA-256 and checks it.
    for variable, value in {
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_ETAG_TIMEOUT": _SECONDS,
    }.items():
        os.environ.setdefault(variable, value)
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint, token=token)


@contextmanager
def _readable_errors(repository: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

    try:
        yield
    except HFValidationError as error:
        raise Invalid(
            f"{repository!r} is no name of a repository. Write ORGANIZATION/NAME.", code="hub_repository"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise Invalid(
                f"The hub does not let HF_TOKEN write to {repository} ({status}).", code="hub_token"
            ) from error
        if status < 500 and status != 429:
            reason = error.server_message or f"status {status}"
            raise Invalid(f"The hub refused the push to {repository}: {reason}", code="hub_refused") from error
        raise Busy(
            f"The hub did not take the push to {repository}: status {status}.", code="hub_down", retry_after=60
        ) from error
    except (HTTPError, OSError, RuntimeError) as error:
        raise Busy(
            f"The hub did not take the push to {repository}: {_first_line(error)}", code="hub_down", retry_after=60
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0][:200] or type(error).__name__
