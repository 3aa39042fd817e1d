from django.conf import settings
from django.urls import include, path

from oasst.accounts import token_views, views
from oasst.accounts.authentication import proof_views, second_factor_views, session_views, sign_in_link_views
from oasst.accounts.authentication.providers import login_paths

urlpatterns = [
    path("terms/", views.terms, name="terms"),
    path("terms/accept/", views.terms_accept, name="terms_accept"),
    path("privacy/", views.privacy, name="privacy"),
    path("suspended/", views.suspended, name="suspended"),
    path("me/", views.profile, name="profile"),
    path("me/present/", views.present, name="present"),
    path("me/languages/", views.languages, name="languages"),
    path("me/work-language/", views.work_language, name="work_language"),
    path("me/delete/", views.profile_delete, name="profile_delete"),
    path("me/tokens/", token_views.own_tokens, name="tokens"),
    path("me/tokens/<uuid:token_id>/revoke/", token_views.revoke, name="token_revoke"),
    path("me/programs/leave/", token_views.leave_programs, name="programs_leave"),
    path("me/sessions/", session_views.own_sessions, name="sessions"),
    path("me/sessions/end-others/", session_views.end_others, name="sessions_end_others"),
    path("me/sessions/<str:handle>/end/", session_views.end, name="session_end"),
    path("me/sign-in-again/", proof_views.sign_in_again, name="sign_in_again"),
    # Ours stand before those of django-allauth: the first match wins.
    path("accounts/login/", views.Door.as_view(), name="account_login"),
    path("accounts/login/code/", views.AskForCode.as_view(), name="account_request_login_code"),
    path("accounts/login/code/confirm/", views.TypeCode.as_view(), name="account_confirm_login_code"),
    path("accounts/link/", sign_in_link_views.sign_in_by_link, name="sign_in_link"),
    path("accounts/email/", views.OwnAddresses.as_view(), name="account_email"),
    path("accounts/confirm-email/<str:key>/", views.ConfirmAddress.as_view(), name="account_confirm_email"),
    path("accounts/password/reset/", views.ForgotPassword.as_view(), name="account_reset_password"),
    path("accounts/password/change/", views.ChangePassword.as_view(), name="account_change_password"),
    path("accounts/reauthenticate/", views.ProveAgain.as_view(), name="account_reauthenticate"),
    path("accounts/reauthenticate/code/", proof_views.ProveByCode.as_view(), name="account_reauthenticate_code"),
    path("accounts/2fa/totp/activate/", second_factor_views.SetUpAppPage.as_view(), name="mfa_activate_totp"),
    path("accounts/2fa/webauthn/add/", second_factor_views.AddKeyPage.as_view(), name="mfa_add_webauthn"),
    path("accounts/2fa/authenticate/", second_factor_views.SecondStep.as_view(), name="mfa_authenticate"),
    path("accounts/2fa/reauthenticate/", second_factor_views.SecondFactorAgain.as_view(), name="mfa_reauthenticate"),
    path("accounts/signup/", views.sign_up, name="account_signup"),
    *login_paths(settings.SOCIALACCOUNT_PROVIDERS),
    path("accounts/", include("allauth.urls")),
]

if settings.DEBUG:
    urlpatterns.append(path("accounts/debug/", views.debug_login, name="debug_login"))
