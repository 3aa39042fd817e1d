from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "oasst.accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from oasst.accounts.devices import note_sign_in
        from oasst.accounts.sign_in import forget_first_run, remember_sign_in

        user_logged_in.connect(remember_sign_in, dispatch_uid="accounts.remember_sign_in")
        user_logged_in.connect(note_sign_in, dispatch_uid="accounts.note_sign_in")
        user_logged_in.connect(forget_first_run, dispatch_uid="accounts.forget_first_run")
