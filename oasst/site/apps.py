from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "oasst.site"

    def ready(self) -> None:
        from oasst import celery, checks  # noqa: F401  registers our Celery app and our checks
        from trees import policy_checks  # noqa: F401  registers its check
