"""Close accounts permanently."""

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.utils import timezone

from oasst.accounts import names, suspensions
from oasst.accounts.authentication import second_factor
from oasst.accounts.consent import withdraw_all
from oasst.accounts.locks import lock_administrators, lock_user
from oasst.accounts.models import (
    DAILY_GOAL,
    AccountWarning,
    Acknowledgement,
    Appeal,
    Identity,
    ProgramSession,
    Role,
    Session,
    SignInLink,
    Token,
    User,
)
from oasst.accounts.profiles import NO_TIME_ZONE
from oasst.accounts.roles import require_another_administrator
from oasst.core.after_commit import enqueue_by_name
from oasst.core.audit.erasing import erase_words_about

DELETED_NAME = "Deleted User"
WORDS_JOB = "oasst.site.forgetting.forget_words_of"
# By name, because these are in higher layers.
FOLLOW_UP_JOBS = ("trees.jobs.follow_standing", "oasst.site.notices.jobs.forget_person")


@transaction.atomic
def close_account(user: User, *, merged: bool = False) -> None:
    """Erase the user's personal data and keep their contributions. Final; doing it twice changes nothing.

    The row stays without a name, because texts and rankings refer to it. Deleted are all means to sign in: addresses,
    linked accounts, identities at API clients, tokens, second factors, sessions, the password. For a suspended user,
    keyed hashes of them stay. Jobs then show messages again that only their reports had hidden, and delete their
    notices. The words about them in the audit log are erased, unless the account is `merged` into another one of the
    same person. Raise Conflict `last_administrator`.
    """
    if User.objects.filter(pk=user.pk, role=Role.ADMIN).exists():
        lock_administrators()  # before the row, always in this order
    user = lock_user(user)
    if user.deleted_at is not None and not user.is_active:  # a purge by an API client sets only the date
        return
    require_another_administrator(user)
    if not user.enabled:
        suspensions.remember(user)
    withdraw_all(user)
    EmailAddress.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    Identity.objects.filter(user=user).delete()
    Token.objects.filter(user=user).delete()
    ProgramSession.objects.filter(user=user).delete()
    SignInLink.objects.filter(user=user).delete()
    Acknowledgement.objects.filter(user=user).delete()
    Appeal.objects.filter(user=user).delete()
    AccountWarning.objects.filter(user=user).delete()
    second_factor.remove_all(user)
    Session.end_all_of(user)
    user.email = None
    names.release_name(user, DELETED_NAME)
    user.role = Role.GENERAL
    user.duties = []
    user.moderated_languages = []
    user.notes = ""
    user.time_zone = NO_TIME_ZONE
    user.interface_language = "en"
    user.contribution_languages = []
    user.work_language = ""
    user.show_on_leaderboard = False
    user.daily_goal = DAILY_GOAL
    user.single_keys_off = False
    user.warned_at = None
    user.is_active = False
    user.deleted_at = timezone.now()
    user.set_unusable_password()
    user.save()
    if not merged:
        erase_words_about(user, reason="The account was closed.")
        enqueue_by_name(WORDS_JOB, str(user.pk))
    for job in FOLLOW_UP_JOBS:
        enqueue_by_name(job, str(user.pk))
