"""Words that the rules share."""

Span = tuple[int, int]
"""Start and end in characters."""

LETTER = r"A-Za-z\u00c0-\u024f\u0370-\u052f"
"""For a class of a regular expression: letters of scripts that put spaces between words. In the others a number or an
address may stand directly beside a letter.
"""
WORD = rf"\d_{LETTER}"

PLACEHOLDERS = frozenset(
    {
        *("user", "username", "name", "your", "you", "yourname", "your.name", "youremail", "your_email", "your-email"),
        *("firstname.lastname", "first.last", "john.doe", "johndoe", "jane.doe", "janedoe", "max.mustermann"),
        *("someone", "somebody", "example", "test", "foo", "bar", "email", "mail", "me", "admin", "info", "hello"),
        *("support", "sales", "contact", "noreply", "no-reply", "postmaster", "webmaster", "root", "git", "svn", "hg"),
        *("alice", "bob", "pass", "password", "secret", "token"),
    }
)
"""Local parts and words that stand for anybody."""


def words(line: str) -> frozenset[str]:
    """Return the words of a line as a set."""
    return frozenset(line.split())
