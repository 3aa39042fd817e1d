"""The text of a page without what is random in it."""

import re

_TOKENS = re.compile(r"<input[^>]*csrfmiddlewaretoken[^>]*>")


def without_tokens(page: str) -> str:
    """Return the page without its form tokens: 64 random letters, among which any short name may stand."""
    return _TOKENS.sub("", page)
