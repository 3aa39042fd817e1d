"""Command lines to show to operators, who type them in the root directory of the clone, and the one that runs."""

from contextvars import ContextVar
from shlex import quote

from django.conf import settings

running_command: ContextVar[str] = ContextVar("running_command", default="")
"""The name of the command that an operator runs. `embedded.commands.ServiceCommand` sets it."""

LOCAL_ONLY_NOTICE = (
    "People on other machines reach this site only once PUBLIC_URL (and BIND_ADDRESS, where you set it) is an address "
    "of this machine that they can open: docs/operations.md."
)


def home_prefix() -> str:
    """Return the prefix that makes a command work on this site; empty in the default home.

    Show it only to administrators, because it names a directory of the machine.
    """
    if settings.OASST_HOME == settings.BASE_DIR / "var":
        return ""
    return f"OASST_HOME={quote(str(settings.OASST_HOME))} "


def manage_command(arguments: str) -> str:
    """Return the command line for arguments such as `sign_in_link ada@example.org`."""
    return f"{home_prefix()}./manage.py {arguments}"
