"""Commands as whoever runs the site types them, at the top of the clone."""

from shlex import quote

from django.conf import settings

ONLY_HERE = (
    "People on other machines reach this site only once PUBLIC_URL (and BIND_ADDRESS, where you set it) is an address "
    "of this machine that they can open: docs/operations.md."
)


def in_this_home() -> str:
    """What stands before a command of ours, so that it works on this site and on no other; empty in the usual home.

    It names a directory of the machine: for the terminal and for administrators.
    """
    if settings.OASST_HOME == settings.BASE_DIR / "var":
        return ""
    return f"OASST_HOME={quote(str(settings.OASST_HOME))} "


def manage(words: str) -> str:
    """The command line of these words, such as `sign_in_link ada@example.org`."""
    return f"{in_this_home()}./manage.py {words}"
