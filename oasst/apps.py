from django.apps import AppConfig


class OasstConfig(AppConfig):
    name = "oasst"

    def ready(self) -> None:
        from oasst import checks  # noqa: F401  registers them
