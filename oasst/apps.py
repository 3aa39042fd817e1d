from django.apps import AppConfig


class OasstConfig(AppConfig):
    name = "oasst"
