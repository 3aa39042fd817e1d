"""Admin pages of users, API clients, purges and periodic tasks."""

from oasst.site.admin import people, purges

__all__ = ["people", "purges"]
