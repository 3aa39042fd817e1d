"""People, the programs that speak for them, purges and the clock, in the admin."""

from oasst.site.admin import people, purges

__all__ = ["people", "purges"]
