"""Answers compressed by gzip for whoever takes it: Django's own middleware, and what it leaves to us.

Compression and secrets: the length of a compressed answer tells whether a guess that stands in it is like a secret that
stands in it too (BREACH). Against that, Django hides the csrf token behind other chance in each answer and adds up to a
hundred bytes of chance to each compressed one. We leave out the pages that show secrets, and answers that another site
made a browser ask for with the cookies of its person, since that is how an attacker asks again and again.
"""

import zlib
from collections.abc import Generator
from contextlib import closing

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

LEAST = 1000
"""Bytes from which on it is worth it. Most answers of the wire to a single act are shorter."""
LEVEL = 6
_PAGES_WITH_SECRETS = ("/accounts/", "/me/tokens/")


class Compression(GZipMiddleware):
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
        if response.streaming or len(response.content) < LEAST or _may_be_guessed(request):  # type: ignore[attr-defined]
            return response
        return super().process_response(request, response)


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
    packer = zlib.compressobj(LEVEL, wbits=16 + zlib.MAX_WBITS)
    with closing(pieces):
        for piece in pieces:
            yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
