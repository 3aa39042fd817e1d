"""Account pages: sign-in, terms, profile, and deleting the account."""

import re
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from allauth.account import app_settings as account_settings
from allauth.account.forms import ConfirmLoginCodeForm
from allauth.account.internal.decorators import login_stage_required
from allauth.account.models import EmailAddress
from allauth.account.stages import LoginByCodeStage, LoginStageController
from allauth.account.views import (
    ConfirmEmailView,
    ConfirmLoginCodeView,
    EmailView,
    LoginView,
    PasswordChangeView,
    PasswordResetView,
    ReauthenticateView,
    RequestLoginCodeView,
)
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.generic import FormView

from oasst.accounts import closing, consent, names, profiles, registration, roles
from oasst.accounts.access import has_current_terms, may_use_debug_login
from oasst.accounts.authentication import sign_in_proof
from oasst.accounts.authentication.attempt_limits import count_code, count_password, passwords_left
from oasst.accounts.authentication.sign_in import SignInCode, is_browser_of
from oasst.accounts.documents import PRIVACY, TERMS, contact_address
from oasst.accounts.forms import (
    CodeForm,
    DebugLoginForm,
    DeleteForm,
    LanguagesForm,
    ProfileForm,
    add_domain_error,
    show_attempts_left,
)
from oasst.accounts.models import User
from oasst.accounts.notices import send_notice
from oasst.accounts.requests import SignedInRequest
from oasst.accounts.site_settings.reading import current as current_settings
from oasst.core.errors import Busy, Conflict, DomainError, Invalid
from oasst.core.http import kept_forms
from oasst.core.http.api_paths import has_no_session_user
from oasst.core.http.kept_forms import keep_until_accepted
from oasst.core.http.requests import safe_next

# --- Sign-in ---


class RateLimitMixin(FormView):
    """Shows the form again with the waiting time if a rate limit was reached. `typed` names the fields to keep."""

    typed: tuple[str, ...] = ()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(request, *args, **kwargs)
        except Busy as busy:
            if busy.code != "rate_limited":
                raise
            return self.too_many(busy)

    def too_many(self, busy: Busy) -> HttpResponse:
        initial = {name: self.request.POST.get(name, "") for name in self.typed}
        form = self.get_form_class()(**{**self.get_form_kwargs(), "data": None, "files": None, "initial": initial})
        return set_retry_after(self.render_to_response(self.get_context_data(form=form, wait=wait_context(busy))), busy)


def wait_context(busy: Busy) -> dict[str, Any]:
    """Return the context variable `wait` of account/snippets/wait.html."""
    until = timezone.now() + timedelta(seconds=busy.retry_after)
    return {"message": busy.message, "until": until, "seconds": busy.retry_after, "hint": busy.hint}


def set_retry_after(response: HttpResponse, busy: Busy) -> HttpResponse:
    response.status_code = 429
    response["Retry-After"] = str(busy.retry_after)
    return response


class SignInPage(RateLimitMixin, LoginView):
    """The page with all ways to sign in. Its POST is the password form."""

    typed = ("login",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context["code_form"] = CodeForm()
        context["proof"] = sign_in_proof.next_demand(self.request)
        if may_use_debug_login(self.request):
            context["debug_login_form"] = DebugLoginForm()
        form = context["form"]
        if form.is_bound and form.has_error(NON_FIELD_ERRORS):
            left = passwords_left(self.request, form.cleaned_data.get("login", ""))
            show_attempts_left(form, "password", left=left)
        return context


class EmailAddressesPage(RateLimitMixin, EmailView):
    """The user's email addresses. A button that changes nothing sends no mail, because false alarms get ignored."""

    def too_many(self, busy: Busy) -> HttpResponse:
        self.typed = ("email",) if "action_add" in self.request.POST else ()
        return super().too_many(busy)

    def _action_primary(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        address = self._get_email_address(request)
        if address and address.primary:
            return messages.info(request, "This is your main address already.")
        try:
            with transaction.atomic():  # allauth saves two addresses and the user
                return super()._action_primary(request, *args, **kwargs)
        except IntegrityError:
            return messages.error(request, "This address belongs to another account. Nothing was changed.")

    def _action_send(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        address = self._get_email_address(request)
        if address and address.verified:
            return messages.info(request, "This address is confirmed already.")
        return super()._action_send(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        addresses = context["emailaddresses"]
        unconfirmed = any(not address.verified for address in addresses)
        return {**context, "has_several": len(addresses) > 1, "has_unconfirmed": unconfirmed}


class ResetPasswordPage(RateLimitMixin, PasswordResetView):
    typed = ("email",)


class ChangePasswordPage(RateLimitMixin, PasswordChangeView):
    """Asks for the current password, so attempts count as at the sign-in."""

    def get_form(self, form_class: Any = None) -> forms.Form:
        if self.request.method == "POST":  # before comparing, so that the limit also holds for the right one
            count_password(self.request, self.request.user.email or "")  # type: ignore[union-attr]
        form: forms.Form = super().get_form(form_class)
        return form


class ReauthenticatePage(RateLimitMixin, ReauthenticateView):
    """Asks for the password again before a sensitive step."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if context["form"].is_bound and context["form"].errors:
            left = passwords_left(self.request, EmailAddress.objects.get_primary_email(self.request.user))
            show_attempts_left(context["form"], "password", left=left)
        return context


class RequestCodePage(RateLimitMixin, RequestLoginCodeView):
    form_class = CodeForm
    typed = ("email",)

    def get_form_class(self) -> type[forms.Form]:
        return CodeForm

    def form_valid(self, form: CodeForm) -> HttpResponse:
        email = form.cleaned_data["email"].lower()
        if not sign_in_proof.has_proof(self.request, email):
            proof = sign_in_proof.demand(self.request)
            response = self.render_to_response(self.get_context_data(form=form, proof=proof, proof_is_asked=True))
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response["Retry-After"] = str(proof.seconds)
            return response
        SignInCode.start(self.request, email)
        return redirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {"proof": sign_in_proof.next_demand(self.request), **context}


def _explain_missing_code(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Show a message on the sign-in page if no code is pending any more."""

    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated and not LoginStageController.enter(request, LoginByCodeStage.key):
            messages.error(request, "This code is no longer valid. Ask for a new one.")
            return redirect("account_login")
        return view(request, *args, **kwargs)

    return wrapped


@method_decorator(_explain_missing_code, name="dispatch")
@method_decorator(login_stage_required(stage=LoginByCodeStage.key, redirect_urlname="account_login"), name="dispatch")
class ConfirmCodePage(RateLimitMixin, ConfirmLoginCodeView):
    form_class = ConfirmLoginCodeForm

    @method_decorator(never_cache)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.stage = request._login_stage  # type: ignore[attr-defined]
        process = SignInCode.resume(self.stage)
        if process is None:
            messages.error(request, "The code is too old by now. Ask for another one.")
            return redirect("account_login")
        self._process = process
        return super(ConfirmLoginCodeView, self).dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # As in allauth: if no further code may be sent, a request for one counts as an attempt.
        code = None if self._action == "resend" else self._process.code
        try:
            count_code(request, self._process.state["email"], code)
        except Busy as busy:
            return self.too_many(busy)
        return super().post(request, *args, **kwargs)

    def _resend_form_valid(self, form: forms.Form) -> HttpResponse:
        try:
            response: HttpResponse = super()._resend_form_valid(form)
        except Busy as busy:
            messages.error(self.request, f"{busy.message} The code that you have is still good.")
            return redirect(self.passthrough_next_url(reverse("account_confirm_login_code")))
        return response

    def form_invalid(self, form: forms.Form) -> HttpResponse:
        email = self._process.state["email"]
        if self._process.record_invalid_attempt():
            return self.render_to_response(self.get_context_data(form=form))
        context = {"email": email, "code_form": CodeForm(initial={"email": email}), "tried": self._process.max_attempts}
        context["proof"] = sign_in_proof.next_demand(self.request)
        # The code is void now; the page offers a new one and keeps `next`.
        return render(self.request, "account/login_code_used_up.html", self.get_context_data(form=form) | context)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        state = self._process.state
        if context["verify_form"].errors:
            left = self._process.max_attempts - state["failed_attempts"]
            show_attempts_left(context["verify_form"], "code", of_code=left)
        context["resends_left"] = account_settings.LOGIN_BY_CODE_MAX_RESEND_COUNT - state["resend_count"]
        return context


class ConfirmEmailPage(ConfirmEmailView):
    """The page of the link that verifies an address.

    Only a browser in which the account is signed in, or about to, may confirm. Otherwise the reader of the mail could
    add their own address to a stranger's account by mistake.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_browser_of(self.get_object().email_address.user, request):
            return redirect("account_confirm_email", kwargs["key"])
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def logout_other_user(self, confirmation: Any) -> None:
        """Do not sign out other users, unlike allauth: the page says whose link it is."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if self.object:
            context["account"] = account = self.object.email_address.user
            context["is_signed_in"] = is_browser_of(account, self.request)
        return context


def sign_up(request: HttpRequest) -> HttpResponse:
    """Redirect to the sign-in page, which is also for new users."""
    return redirect("account_login")


@require_POST
def debug_login(request: HttpRequest) -> HttpResponse:
    """Sign in developers as anybody. Without DEBUG it has no URL."""
    if not may_use_debug_login(request):
        raise Http404
    form = DebugLoginForm(request.POST)
    if not form.is_valid():
        return redirect("account_login")
    slug = re.sub(r"[^a-z0-9]+", "-", form.cleaned_data["name"].lower()).strip("-") or "dev"
    user = registration.get_or_create_by_email(f"{slug}@debug.example.com")
    user.role = form.cleaned_data["role"]
    with transaction.atomic():
        if form.cleaned_data["name"] != user.display_name:
            names.set_own_name(user, names.free_name(form.cleaned_data["name"], user))
        user.save(update_fields=["role", *names.FIELDS])
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect(safe_next(request, settings.LOGIN_REDIRECT_URL))


# --- Terms ---


@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/terms.html", {"document": TERMS})


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/privacy.html", {"document": PRIVACY})


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def terms_accept(request: SignedInRequest) -> HttpResponse:
    target = safe_next(request, settings.LOGIN_REDIRECT_URL)
    if request.method == "POST":
        if request.POST.get("decision") == "decline":
            logout(request)
            messages.info(
                request,
                "You are signed out. Without the terms you can read everything that is public; "
                "nothing of yours was stored, and you can come back whenever you like.",
            )
            return redirect("terms")
        # If the terms changed while the page was open, show it again.
        if request.POST.get("version") == TERMS.version:
            is_new = not request.user.terms_version
            if is_new:
                profiles.propose_time_zone(request.user, request.POST.get("time_zone", ""))
            consent.accept_terms(request.user)
            return redirect(_page_after_terms(request.user, target) if is_new else target)
    elif has_current_terms(request.user):
        return redirect(target)
    return render(request, "accounts/terms_accept.html", {"document": TERMS, "next": target})


def _page_after_terms(user: User, target: str) -> str:
    """Return the page that somebody sees who agreed for the first time: once, the questions to newcomers.

    Not for those who chose languages before, nor on the way to a program, which waits for the answer.
    """
    if user.contribution_languages or current_settings().ended or has_no_session_user(target):
        return target
    return f"{reverse('onboarding')}?{urlencode({'next': target})}"


# --- For scripts ---


@never_cache
@login_required
@require_safe
def current_user(request: SignedInRequest) -> JsonResponse:
    """Return the signed-in user and the current CSRF token, which changes at sign-in."""
    return JsonResponse({"person": str(request.user.pk), "token": get_token(request)})


# --- The profile ---


@keep_until_accepted("profile")
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    form = ProfileForm(request.POST or None, user=request.user, kept=kept_forms.find_kept_form(request, request.path))
    if request.method == "POST" and form.is_valid():
        try:
            profiles.update_profile(request.user, **form.cleaned_data)
        except Busy:
            raise  # it has its own page, with the time to wait
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, gettext("Your profile is saved."))
            return redirect("profile")
    # `person` is the stored user, so that a refused name does not look saved.
    return render(request, "accounts/profile.html", {"form": form, "person": request.user})


@login_required
@require_POST
def languages(request: SignedInRequest) -> HttpResponse:
    """Save the languages that the dashboard asks for at the first visit."""
    form = LanguagesForm(request.POST)
    if form.is_valid():
        profiles.propose_time_zone(request.user, form.cleaned_data["time_zone"])
        profiles.choose_languages(request.user, form.cleaned_data["languages"])
        messages.success(request, gettext("Your languages are saved. You can change them in your profile."))
    else:
        messages.error(request, gettext("Please choose at least one language of the list."))
    return redirect("dashboard")


@login_required
@require_POST
def time_zone(request: SignedInRequest) -> HttpResponse:
    """Save the time zone that the browser proposed and its user accepted."""
    profiles.choose_time_zone(request.user, request.POST.get("time_zone", ""))
    messages.success(request, gettext("Your time zone is saved."))
    return redirect(safe_next(request, reverse("profile")))


@login_required
@require_POST
def work_language(request: SignedInRequest) -> HttpResponse:
    """Save the choice "Work in", and return to the page with the form."""
    profiles.choose_work_language(request.user, request.POST.get("lang", ""))
    return redirect(safe_next(request, reverse("dashboard")))


@login_required
@require_POST
def daily_goal(request: SignedInRequest) -> HttpResponse:
    """Save the goal of the day that the dashboard asks for; `none` switches it off."""
    typed = "0" if "none" in request.POST else request.POST.get("daily_goal", "").strip()
    is_number = typed.isascii() and typed.isdigit() and len(typed) < 5
    try:
        profiles.choose_daily_goal(request.user, int(typed) if is_number else -1)
    except Invalid as error:
        messages.error(request, error.message)
    else:
        messages.success(request, gettext("Your goal is saved.") if request.user.daily_goal else gettext("No goal."))
    return redirect("dashboard")


CONSEQUENCES = (
    "Your e-mail address, your name, your password, your keys and your linked accounts are erased at once.",
    "Your chats with the assistant are erased within the hour.",
    "Your texts, reviews and rankings stay, without your name. Withdraw first, under “My contributions”, the texts "
    "that are not to stay: afterwards you cannot.",
    "You vanish from every board.",
    "This is final. The same address can open a new account, but it will not be this one.",
)


KEPT_OF_SUSPENDED = (
    "This is final. Your account is suspended, so keyed hashes of your addresses and linked accounts stay: signing up "
    "again with one of them gives a suspended account."
)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def profile_delete(request: SignedInRequest) -> HttpResponse:
    """Delete the account. The middleware has asked for a reauthentication before (oasst.accounts.access_middleware)."""
    form = DeleteForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        user, email = request.user, request.user.email
        try:
            closing.close_account(user)
        except Conflict as refusal:
            form.add_error(None, refusal.message)
        else:
            logout(request)
            if email:
                send_notice(request, user, "account_closed", email=email, contact=contact_address())
            messages.success(request, "Your account is erased. Thank you for everything you gave.")
            return redirect("landing")
    return render(
        request,
        "accounts/profile_delete.html",
        {
            "form": form,
            "consequences": CONSEQUENCES if request.user.enabled else (*CONSEQUENCES[:-1], KEPT_OF_SUSPENDED),
            "is_last": roles.is_last_administrator(request.user),
        },
    )
