"""Work that a commit sets off and that spans the apps."""

from oasst.site.purging import go_on_with_purge

__all__ = ["go_on_with_purge"]
