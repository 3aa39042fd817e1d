"""Pages and downloads of published snapshots, open to everybody."""

import os
from pathlib import Path

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oasst.core.errors import Busy
from oasst.core.http.file_responses import file_response
from trees import snapshot_pages
from trees.interchange.snapshots.published import PublishedFile, get_published, get_published_file
from trees.interchange.snapshots.storage import snapshot_storage
from trees.interchange.tree_record import SPLITS

log = structlog.get_logger(__name__)

FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; sandbox; frame-ancestors 'none'"
"""Of downloads: the data card has styles and plots inside, and nothing in it may run or ask for more."""
CACHE = "public, max-age=300"
"""Files never change, but a snapshot may be retracted."""


@require_safe
def snapshots(request: HttpRequest) -> HttpResponse:
    return render(request, "trees/snapshots.html", {"summaries": snapshot_pages.list_published()})


@require_safe
def snapshot(request: HttpRequest, name: str) -> HttpResponse:
    card = snapshot_pages.data_card(get_published(name))
    return render(request, "trees/snapshot.html", {"card": card, "summary": card.summary, "splits": SPLITS})


@require_safe
def snapshot_file(request: HttpRequest, name: str, path: str) -> HttpResponseBase:
    """Send a file, or lead to the bucket that has it. Only paths of the manifest are known, so none leads elsewhere."""
    file = get_published_file(name, path)
    where = snapshot_storage().locate(name, file, method=request.method or "GET")
    response: HttpResponseBase
    if isinstance(where, Path):
        response = _from_disk(request, name, file, where)
        response["Cache-Control"] = CACHE
    else:
        response = HttpResponseRedirect(where)
        response["Cache-Control"] = "no-store"  # the link ends
    response["Content-Security-Policy"] = FILE_POLICY
    return response


def _from_disk(request: HttpRequest, name: str, file: PublishedFile, path: Path) -> HttpResponseBase:
    try:
        opened = path.open("rb")
    except OSError as error:
        raise _missing(name, file) from error
    if os.fstat(opened.fileno()).st_size != file.bytes:
        opened.close()
        raise _missing(name, file)
    return file_response(
        request,
        opened,
        etag=f'"{file.sha256}"',
        content_type=file.content_type,
        filename=file.saved_as(name),
        inline=file.is_shown,
    )


def _missing(name: str, file: PublishedFile) -> Busy:
    """Return the error for a folder that somebody changed; the operator publishes again."""
    log.error("published_file_missing", snapshot=name, path=file.path)
    return Busy(
        "This file cannot be read right now. The operator of the site sees it.", code="storage", retry_after=600
    )
