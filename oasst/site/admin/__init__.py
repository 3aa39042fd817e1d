"""Admin pages of users, appeals, warnings, API clients, purges, site settings, jobs and the audit log."""

from oasst.site.admin import api_clients, appeals, audit, jobs, people, purges, site_settings, warnings

__all__ = ["api_clients", "appeals", "audit", "jobs", "people", "purges", "site_settings", "warnings"]
