"""The admin as an installed app: the standard one, with our site. Imported before any model is loaded."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default_site = "oasst.site.admin_site.ModeratorsSite"
