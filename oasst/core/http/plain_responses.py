"""Error responses that the web server sends without Django, as HTTP/1.1 bytes."""

PLAIN_HEADERS = (
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cache-Control", b"no-store"),
)
_PAGE = (
    b"<!doctype html><html lang=en><meta name=viewport content=width=device-width><title>%(status)s</title>"
    b"<h1>%(status)s</h1><p>%(message)s</p><p><a href=/>To the start page</a></p></html>"
)
_BACK = b" If you had typed something, the Back button of your browser leads to it."
_MESSAGES = {
    b"400": b"The request was garbled on its way. Reload the page and try again." + _BACK,
    b"408": b"The request came too slowly. Look at your connection, and try again." + _BACK,
    b"413": b"More was sent than the site takes at once. Nothing was stored: send it in smaller parts." + _BACK,
    b"501": b"This method is not known here.",
    b"503": b"Too many connections come from your network at the moment. Try again in a few seconds." + _BACK,
}


def plain_refusal(status: bytes, headers: bytes = b"") -> bytes:
    """Return a complete response with a short message, after which the connection ends.

    `status` is number and name, as in "400 Bad Request"; `headers` are more header lines, each with its line end.
    """
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in PLAIN_HEADERS)
    page = _PAGE % {b"status": status, b"message": _MESSAGES[status[:3]]}
    entity = b"Content-Type: text/html; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(page)
    return b"HTTP/1.1 " + status + b"\r\n" + headers + lines + entity + page
