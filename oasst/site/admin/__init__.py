"""Admin pages of users, appeals, API clients, purges, site settings and periodic tasks."""

from oasst.site.admin import appeals, people, purges, site_settings

__all__ = ["appeals", "people", "purges", "site_settings"]
