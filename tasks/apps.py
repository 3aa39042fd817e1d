from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class TasksConfig(AppConfig):
    name = "tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tasks import practice_memory, queries
        from trees import being_reviewed

        user_logged_in.connect(practice_memory.credit, dispatch_uid="tasks.credit_practice")
        being_reviewed.register(queries.conversations_in_review)
