from django.conf import settings
from django.urls import include, path

from oasst.accounts import acknowledgement_views, appeal_views, token_views, views, warning_views
from oasst.accounts.authentication import (
    mailed_sign_in_views,
    proof_views,
    second_factor_views,
    session_views,
    sign_in_link_views,
)
from oasst.accounts.authentication.providers import login_paths

urlpatterns = [
    path("terms/", views.terms, name="terms"),
    path("terms/accept/", views.terms_accept, name="terms_accept"),
    path("privacy/", views.privacy, name="privacy"),
    path("suspended/", appeal_views.suspended, name="suspended"),
    path("suspended/appeal/", appeal_views.appeal, name="appeal"),
    path("me/", views.profile, name="profile"),
    path("me/warning/", warning_views.warning, name="warning"),
    path("me/warning/confirm/", warning_views.confirm, name="warning_confirm"),
    path("thanks/", acknowledgement_views.thanks, name="thanks"),
    path("me/acknowledgement/", acknowledgement_views.acknowledgement, name="acknowledgement"),
    path("me/present/", views.current_user, name="present"),
    path("me/languages/", views.languages, name="languages"),
    path("me/time-zone/", views.time_zone, name="time_zone"),
    path("me/daily-goal/", views.daily_goal, name="daily_goal"),
    path("me/work-language/", views.work_language, name="work_language"),
    path("me/delete/", views.profile_delete, name="profile_delete"),
    path("me/tokens/", token_views.own_tokens, name="tokens"),
    path("me/tokens/<uuid:token_id>/revoke/", token_views.revoke, name="token_revoke"),
    path("me/programs/leave/", token_views.leave_programs, name="programs_leave"),
    path("me/sessions/", session_views.own_sessions, name="sessions"),
    path("me/sessions/end-others/", session_views.end_others, name="sessions_end_others"),
    path("me/sessions/<str:handle>/end/", session_views.end, name="session_end"),
    path("me/sign-in-again/", proof_views.sign_in_again, name="sign_in_again"),
    # Before those of django-allauth, because the first match wins.
    path("accounts/login/", views.SignInPage.as_view(), name="account_login"),
    path("accounts/login/code/", views.RequestCodePage.as_view(), name="account_request_login_code"),
    path("accounts/login/code/confirm/", views.ConfirmCodePage.as_view(), name="account_confirm_login_code"),
    path("accounts/login/link/", mailed_sign_in_views.mailed_sign_in, name="mailed_sign_in"),
    path("accounts/link/", sign_in_link_views.sign_in_by_link, name="sign_in_link"),
    path("accounts/email/", views.EmailAddressesPage.as_view(), name="account_email"),
    path("accounts/confirm-email/<str:key>/", views.ConfirmEmailPage.as_view(), name="account_confirm_email"),
    path("accounts/password/reset/", views.ResetPasswordPage.as_view(), name="account_reset_password"),
    path("accounts/password/change/", views.ChangePasswordPage.as_view(), name="account_change_password"),
    path("accounts/reauthenticate/", views.ReauthenticatePage.as_view(), name="account_reauthenticate"),
    path(
        "accounts/reauthenticate/code/",
        proof_views.ReauthenticateByCodePage.as_view(),
        name="account_reauthenticate_code",
    ),
    path("accounts/2fa/totp/activate/", second_factor_views.SetUpAppPage.as_view(), name="mfa_activate_totp"),
    path("accounts/2fa/webauthn/add/", second_factor_views.AddKeyPage.as_view(), name="mfa_add_webauthn"),
    path("accounts/2fa/authenticate/", second_factor_views.SecondFactorPage.as_view(), name="mfa_authenticate"),
    path(
        "accounts/2fa/reauthenticate/", second_factor_views.SecondFactorAgainPage.as_view(), name="mfa_reauthenticate"
    ),
    path("accounts/signup/", views.sign_up, name="account_signup"),
    *login_paths(settings.SOCIALACCOUNT_PROVIDERS),
    path("accounts/", include("allauth.urls")),
]

if settings.DEBUG:
    urlpatterns.append(path("accounts/debug/", views.debug_login, name="debug_login"))
