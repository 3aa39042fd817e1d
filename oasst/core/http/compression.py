"""Answers compressed by gzip for whoever takes it.

As Django's own middleware does it, with two differences: it has one level, which takes up to three times as long for a
tenth less, and it would compress what must not be.

Compression and secrets: the length of a compressed answer tells whether a guess that stands in it is like a secret that
stands in it too (BREACH). Against that, Django hides the csrf token behind other chance in each answer, and each
compressed one gets up to a hundred bytes of chance (Palacios et al. 2022, "HTB: a very effective method to protect web
servers against BREACH attack to HTTPS"). We leave out the pages that show secrets, and answers that another site made a
browser ask for with the cookies of its person, since that is how an attacker asks again and again.
"""

import io
import secrets
import zlib
from collections.abc import Generator
from contextlib import closing
from gzip import GzipFile

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

LEAST = 1000
"""Bytes from which on it is worth it. Most answers of the wire to a single act are shorter."""
LEVEL, LEVEL_OF_STREAMS = 3, 6
"""An answer is waited for; a stream is a file that somebody keeps."""
MOST_CHANCE = 100
_PAGES_WITH_SECRETS = ("/accounts/", "/me/tokens/")


class Compression(MiddlewareMixin):
    """Compresses answers that are there as a whole.

    Streams are left to whoever makes them: events have to arrive when they happen, files are compressed already, and an
    export is compressed by its own thread (`oasst.api.streams`).
    """

    def process_request(self, request: HttpRequest) -> None:
        """Django and whitenoise look for the word alone: they would send gzip to who refuses it, and none to "GZIP"."""
        request.META["HTTP_ACCEPT_ENCODING"] = "gzip" if takes_gzip(request) else ""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code == 304:
            # As on the answer that it stands for.
            patch_vary_headers(response, ("Accept-Encoding",))
            return response
        if response.streaming or response.has_header("Content-Encoding") or _may_be_guessed(request):
            return response
        content: bytes = response.content  # type: ignore[attr-defined]
        if len(content) < LEAST:
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if request.META["HTTP_ACCEPT_ENCODING"]:
            response.content = packed = _packed(content)  # type: ignore[attr-defined]
            response["Content-Length"], response["Content-Encoding"] = len(packed), "gzip"
            if (etag := response.get("ETag", "")).startswith('"'):  # the same text in other bytes (RFC 9110, 8.8.1)
                response["ETag"] = f"W/{etag}"
        return response


def _packed(content: bytes) -> bytes:
    """As a gzip file with a name of random length, and no date."""
    packed = io.BytesIO()
    name = "a" * secrets.randbelow(MOST_CHANCE)
    with GzipFile(name, "wb", LEVEL, packed, mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def _may_be_guessed(request: HttpRequest) -> bool:
    if request.path_info.startswith(_PAGES_WITH_SECRETS):
        return True
    return bool(request.COOKIES) and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def takes_gzip(request: HttpRequest) -> bool:
    """Whether Accept-Encoding names gzip, does not refuse it (`q=0`), and does not prefer an answer without."""
    weights = {}
    for part in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = _weight(weight)
    gzip = max(weights.get("gzip", 0.0), weights.get("x-gzip", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(text: str) -> float:
    """Of `q=0.5`; 1 for none, 0 for what is no number."""
    name, _, number = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(number) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0


def gzipped(pieces: Generator[bytes]) -> Generator[bytes]:
    """A stream as one gzip file. Each piece can be read as soon as it is sent."""
    packer = zlib.compressobj(LEVEL_OF_STREAMS, wbits=16 + zlib.MAX_WBITS)
    with closing(pieces):
        for piece in pieces:
            yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
