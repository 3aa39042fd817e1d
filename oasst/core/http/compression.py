"""Gzip compression of responses.

Django's own middleware has a fixed level, which takes up to three times as long to save a tenth more, and would also
compress responses that must not be compressed.

The length of a compressed response reveals whether a guess in it resembles a secret in it (BREACH). Against that,
Django masks the CSRF token differently in each response, and each compressed response gets up to a hundred random bytes
(Palacios et al. 2022, "HTB: a very effective method to protect web servers against BREACH attack to HTTPS"). Not
compressed at all: pages that show secrets, and requests that another site makes with the user's cookies, because an
attacker needs many of those.
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

MIN_BYTES = 1000
"""Bytes from which compression pays off. Most API responses are shorter."""
LEVEL, LEVEL_OF_STREAMS = 3, 6
"""Streams are exports, for which size matters more than time."""
MAX_PADDING = 100
_PAGES_WITH_SECRETS = ("/accounts/", "/me/tokens/")


class Compression(MiddlewareMixin):
    """Compress responses, but not streams: events must arrive at once, files are already compressed, and exports are
    compressed in their own thread (`oasst.api.streams`).
    """

    def process_request(self, request: HttpRequest) -> None:
        """Normalize Accept-Encoding, in which Django and whitenoise ignore `q=0` and do not recognize "GZIP"."""
        request.META["HTTP_ACCEPT_ENCODING"] = "gzip" if accepts_gzip(request) else ""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code == 304:
            # As on the full response.
            patch_vary_headers(response, ("Accept-Encoding",))
            return response
        if response.streaming or response.has_header("Content-Encoding") or _is_at_risk(request):
            return response
        content: bytes = response.content  # type: ignore[attr-defined]
        if len(content) < MIN_BYTES:
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if request.META["HTTP_ACCEPT_ENCODING"]:
            response.content = compressed = _compressed(content)  # type: ignore[attr-defined]
            response["Content-Length"], response["Content-Encoding"] = len(compressed), "gzip"
            if (etag := response.get("ETag", "")).startswith('"'):  # same content, other bytes (RFC 9110, 8.8.1)
                response["ETag"] = f"W/{etag}"
        return response


def _compressed(content: bytes) -> bytes:
    """Return a gzip file with a name of random length and no date."""
    output = io.BytesIO()
    name = "a" * secrets.randbelow(MAX_PADDING)
    with GzipFile(name, "wb", LEVEL, output, mtime=0) as file:
        file.write(content)
    return output.getvalue()


def _is_at_risk(request: HttpRequest) -> bool:
    if request.path_info.startswith(_PAGES_WITH_SECRETS):
        return True
    return bool(request.COOKIES) and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def accepts_gzip(request: HttpRequest) -> bool:
    """Return True if Accept-Encoding names gzip, does not refuse it (`q=0`), and does not prefer `identity`."""
    weights = {}
    for part in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = _weight(weight)
    gzip = max(weights.get("gzip", 0.0), weights.get("x-gzip", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(text: str) -> float:
    """Parse `q=0.5`; 1 if missing, 0 if not a number."""
    name, _, number = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(number) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0


def gzip_stream(chunks: Generator[bytes]) -> Generator[bytes]:
    """Compress a stream into one gzip file. Each chunk can be read as soon as it is sent."""
    compressor = zlib.compressobj(LEVEL_OF_STREAMS, wbits=16 + zlib.MAX_WBITS)
    with closing(chunks):
        for chunk in chunks:
            yield compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()
