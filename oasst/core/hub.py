"""What pushes to the Hugging Face hub have in common: the connection, and errors that people understand."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oasst.core.errors import Busy, Invalid

_SECONDS = "30"


def require_token(token: str) -> None:
    """Raise Invalid `hub_token` without one."""
    if not token:
        raise Invalid(
            "HF_TOKEN is not set. Make a token that may write at https://huggingface.co/settings/tokens.",
            code="hub_token",
        )


def hub_api(endpoint: str | None, token: str) -> Any:
    """Return the hub's client."""
    # Read when the library is imported. By the older protocol the hub names each file by its SHA-256 and checks it.
    for variable, value in {
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_ETAG_TIMEOUT": _SECONDS,
    }.items():
        os.environ.setdefault(variable, value)
    from huggingface_hub import HfApi, constants

    constants.HF_HUB_DISABLE_XET = True  # also if something imported the library before
    return HfApi(endpoint=endpoint, token=token)


@contextmanager
def readable_hub_errors(repository: str) -> Iterator[None]:
    """Turn errors of the library into Invalid (`hub_repository`, `hub_token`, `hub_refused`) or Busy `hub_down`."""
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
