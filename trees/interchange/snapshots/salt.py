"""The secret from which snapshots make their pseudonyms."""

from django.conf import settings

from oasst import env
from oasst.core.errors import Invalid
from trees.interchange.pseudonyms import SHORT_SEED, Pseudonyms


def snapshot_pseudonyms() -> Pseudonyms:
    """Return the pseudonyms of all snapshots of this site. The first call makes their secret and keeps it.

    Raise Invalid for a secret that can be guessed, or that cannot be kept.
    """
    salt = settings.SNAPSHOT_SALT
    if not salt:
        try:
            salt = env.kept_secret(settings.KEPT_SNAPSHOT_SALT)
        except OSError as error:
            raise Invalid(
                f"SNAPSHOT_SALT is not set, and {settings.KEPT_SNAPSHOT_SALT} cannot be used: {error.strerror}.",
                code="snapshot_salt",
            ) from error
    if len(salt) < SHORT_SEED:
        raise Invalid(
            f"SNAPSHOT_SALT is shorter than {SHORT_SEED} characters: whoever guesses it finds out who wrote what.",
            code="snapshot_salt",
        )
    return Pseudonyms(salt)


def known_pseudonyms() -> Pseudonyms | None:
    """Return the pseudonyms of this site if it has their secret; make none, and never raise."""
    salt = settings.SNAPSHOT_SALT
    if not salt:
        try:
            salt = settings.KEPT_SNAPSHOT_SALT.read_text().strip()
        except (OSError, ValueError):
            return None
    return Pseudonyms(salt) if len(salt) >= SHORT_SEED else None


def salt_digest(pseudonyms: Pseudonyms) -> str:
    """Return a text that differs for every salt and reveals none."""
    return pseudonyms.pseudonym("salt", "")
