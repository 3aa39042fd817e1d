"""Admin pages of users, appeals, warnings, API clients, purges, site settings, periodic tasks and the audit log."""

from oasst.site.admin import appeals, audit, people, purges, site_settings, warnings

__all__ = ["appeals", "audit", "people", "purges", "site_settings", "warnings"]
