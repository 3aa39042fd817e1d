"""The app config of the admin with our admin site. Imported before models are loaded."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default_site = "oasst.site.admin_site.ModeratorsSite"
