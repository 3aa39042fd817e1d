"""Links in texts of people and models that lead to other sites.

They lead to a page of ours that shows the whole address and goes on by a click, except to sites that the operator names
(`DIRECT_LINK_DOMAINS`). That page never redirects, so nobody can use it to make a bad address look like one of ours.
"""

from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings

LEAVING = "/leaving/"
LONGEST = 2_000


def address_of(url: str) -> str:
    """Return where a link to this address leads: there, if the site is known, else to the page in between."""
    if not url.lower().startswith(("http:", "https:")) or _is_known(url):
        return url
    return f"{LEAVING}?to={quote(url, safe=':/')}"


def _is_known(url: str) -> bool:
    host = host_of(url)
    return host is not None and any(
        host == domain or host.endswith(f".{domain}") for domain in settings.DIRECT_LINK_DOMAINS
    )


def host_of(url: str) -> str | None:
    """Return the host of the address of a web site as browsers compare it, or None if it is no such address."""
    # Browsers read a backslash as a slash, so "https://a\\@b" would lead elsewhere than it says.
    if len(url) > LONGEST or any(character <= " " or character in "\x7f\\" for character in url):
        return None
    try:
        parts = urlsplit(url)
        return _ascii_host(parts) if parts.scheme in ("http", "https") else None
    except ValueError:  # UnicodeError is one
        return None


def _ascii_host(parts: SplitResult) -> str | None:
    _ = parts.port  # raises for a number that is no port
    host = parts.hostname or ""
    return (host if host.isascii() else host.encode("idna").decode()) or None


def has_login(url: str) -> bool:
    """Return True if the address has a user name before the host, which may pose as one."""
    return "@" in urlsplit(url).netloc
