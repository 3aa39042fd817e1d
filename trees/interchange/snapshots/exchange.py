"""Exchange two folders in one step, which Python cannot do itself."""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = _RENAME_SWAP = 2
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange(first: Path, second: Path) -> bool:
    """Give each of two folders the name of the other: nobody finds either name without a folder.

    Return False where the system or the file system cannot (NFS, for example), and nothing was done. Raise OSError.
    """
    call = _system_call()
    if call is None:
        return False
    if call(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _system_call() -> Callable[[bytes, bytes], int] | None:
    """Return renameat2 of Linux or renamex_np of macOS, or None in an old C library or elsewhere."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            swap = library.renamex_np
            return lambda first, second: int(swap(first, second, ctypes.c_uint(_RENAME_SWAP)))
        rename = library.renameat2
        return lambda first, second: int(rename(_AT_FDCWD, first, _AT_FDCWD, second, ctypes.c_uint(_RENAME_EXCHANGE)))
    except AttributeError:
        return None
