"""Embedded Redis."""
from pathlib import Path


def url(home: Path) -> str:
    """The URL of the embedded server of `home`: unix://<socket path>?db=0."""
    raise NotImplementedError
