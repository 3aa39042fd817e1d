"""Jobs that are enqueued after a commit and use several apps."""

from oasst.site.purging import go_on_with_purge

__all__ = ["go_on_with_purge"]
