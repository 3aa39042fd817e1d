from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "oasst.accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from allauth.account import signals

        from oasst.accounts import groups, notices
        from oasst.accounts.authentication import proof, sessions
        from oasst.accounts.authentication.known_devices import give_kept_form, note_new_password, note_sign_in
        from oasst.accounts.authentication.sign_in import forget_first_run

        post_migrate.connect(groups.write_groups, dispatch_uid="accounts.write_groups")
        user_logged_in.connect(_lift_ended_ban, dispatch_uid="accounts.lift_ended_ban")
        user_logged_in.connect(proof.remember_sign_in, dispatch_uid="accounts.remember_sign_in")
        user_logged_in.connect(note_sign_in, dispatch_uid="accounts.note_sign_in")
        user_logged_in.connect(give_kept_form, dispatch_uid="accounts.give_kept_form")
        user_logged_in.connect(forget_first_run, dispatch_uid="accounts.forget_first_run")
        signals.authentication_step_completed.connect(proof.remember_proof, dispatch_uid="accounts.remember_proof")
        signals.email_added.connect(notices.send_new_address_notice, dispatch_uid="accounts.tell_of_new_address")
        for signal in (signals.password_changed, signals.password_set, signals.password_reset):
            signal.connect(sessions.end_after_new_password, dispatch_uid="accounts.end_after_new_password")
            # After that no browser is known, so the one that set the password must become known again.
            signal.connect(note_new_password, dispatch_uid="accounts.note_new_password")


def _lift_ended_ban(user: Any, **kwargs: Any) -> None:
    """Let somebody in whose suspension is over, before the job comes by that does it for all."""
    from oasst.accounts import account_bans

    if not user.enabled and account_bans.lift_if_over(user.pk):
        user.refresh_from_db()
