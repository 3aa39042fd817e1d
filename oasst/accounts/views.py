"""Pages about people: the door, the terms, the profile, and the way out."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

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
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.generic import FormView

from oasst.accounts import closing, consent, names, profiles, registration, roles
from oasst.accounts.access import has_current_terms, may_sign_in_unproven
from oasst.accounts.authentication.attempt_limits import count_code, count_password, passwords_left
from oasst.accounts.authentication.sign_in import SignInCode, is_browser_of
from oasst.accounts.documents import PRIVACY, TERMS, contact_address
from oasst.accounts.forms import (
    CodeForm,
    DebugLoginForm,
    DeleteForm,
    LanguagesForm,
    ProfileForm,
    add_refusal,
    tell_tries,
)
from oasst.accounts.notices import tell
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, Conflict, DomainError
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keeps_words
from oasst.core.http.requests import safe_next

# --- The door ---


class ShowsTheWait(FormView):
    """A limit that was reached is told beside the form, with what was typed still in it (but no password)."""

    typed: tuple[str, ...] = ()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().post(request, *args, **kwargs)
        except Busy as busy:
            if busy.code != "rate_limited":
                raise
            return self.too_many(busy)

    def too_many(self, busy: Busy) -> HttpResponse:
        typed = {name: self.request.POST.get(name, "") for name in self.typed}
        form = self.get_form_class()(**{**self.get_form_kwargs(), "data": None, "files": None, "initial": typed})
        return told_to_wait(self.render_to_response(self.get_context_data(form=form, wait=wait_for(busy))), busy)


def wait_for(busy: Busy) -> dict[str, Any]:
    """The variable of account/snippets/wait.html."""
    until = timezone.now() + timedelta(seconds=busy.retry_after)
    return {"message": busy.message, "until": until, "seconds": busy.retry_after, "hint": busy.hint}


def told_to_wait(response: HttpResponse, busy: Busy) -> HttpResponse:
    response.status_code = 429
    response["Retry-After"] = str(busy.retry_after)
    return response


class Door(ShowsTheWait, LoginView):
    """Everything there is to sign in with, on one page. What is posted here is the password form."""

    typed = ("login",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context["code_form"] = CodeForm()
        if may_sign_in_unproven(self.request):
            context["debug_login_form"] = DebugLoginForm()
        form = context["form"]
        if form.is_bound and form.has_error(NON_FIELD_ERRORS):
            left = passwords_left(self.request, form.cleaned_data.get("login", ""))
            tell_tries(form, "password", left=left)
        return context


class OwnAddresses(ShowsTheWait, EmailView):
    """Adding an address and asking for a confirmation once more send a mail. A button that would change nothing sends
    none: a false alarm teaches people to overlook the true one.
    """

    def too_many(self, busy: Busy) -> HttpResponse:
        self.typed = ("email",) if "action_add" in self.request.POST else ()
        return super().too_many(busy)

    def _action_primary(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        address = self._get_email_address(request)
        if address and address.primary:
            return messages.info(request, "This is your main address already.")
        try:
            with transaction.atomic():  # the library saves two addresses and the person
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
        unconfirmed = any(not one.verified for one in addresses)
        return {**context, "has_several": len(addresses) > 1, "has_unconfirmed": unconfirmed}


class ForgotPassword(ShowsTheWait, PasswordResetView):
    typed = ("email",)


class ChangePassword(ShowsTheWait, PasswordChangeView):
    """Asks for the present password, so tries count as at the sign-in."""

    def get_form(self, form_class: Any = None) -> forms.Form:
        if self.request.method == "POST":  # before it is compared: a limit that let the right one pass would be none
            count_password(self.request, self.request.user.email or "")  # type: ignore[union-attr]
        form: forms.Form = super().get_form(form_class)
        return form


class ProveAgain(ShowsTheWait, ReauthenticateView):
    """The password once more, before a step that matters."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if context["form"].is_bound and context["form"].errors:
            left = passwords_left(self.request, EmailAddress.objects.get_primary_email(self.request.user))
            tell_tries(context["form"], "password", left=left)
        return context


class AskForCode(ShowsTheWait, RequestLoginCodeView):
    form_class = CodeForm
    typed = ("email",)

    def get_form_class(self) -> type[forms.Form]:
        return CodeForm

    def form_valid(self, form: CodeForm) -> HttpResponse:
        SignInCode.start(self.request, form.cleaned_data["email"].lower())
        return redirect(self.get_success_url())


def _say_that_no_code_waits(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Whoever types a code that was used up, given up or forgotten in the meantime is told so at the door."""

    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated and not LoginStageController.enter(request, LoginByCodeStage.key):
            messages.error(request, "This code is not waited for any more. Ask for a new one.")
            return redirect("account_login")
        return view(request, *args, **kwargs)

    return wrapped


@method_decorator(_say_that_no_code_waits, name="dispatch")
@method_decorator(login_stage_required(stage=LoginByCodeStage.key, redirect_urlname="account_login"), name="dispatch")
class TypeCode(ShowsTheWait, ConfirmLoginCodeView):
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
        # As the library reads it: where no other code may be sent, asking for one is a try as well.
        tried = None if self._action == "resend" else self._process.code
        try:
            count_code(request, self._process.state["email"], tried)
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
        # The code is void now; what it takes to get another one stands on the page, with where they wanted to go.
        return render(self.request, "account/login_code_used_up.html", self.get_context_data(form=form) | context)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        state = self._process.state
        if context["verify_form"].errors:
            left = self._process.max_attempts - state["failed_attempts"]
            tell_tries(context["verify_form"], "code", of_code=left)
        context["resends_left"] = account_settings.LOGIN_BY_CODE_MAX_RESEND_COUNT - state["resend_count"]
        return context


class ConfirmAddress(ConfirmEmailView):
    """The page behind the link that proves an address.

    Whoever can read the mail may not be whoever typed the address in: pressing the button in another browser would
    hang their address on a stranger's account. So it is pressed where that account is signed in, or is coming in.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_browser_of(self.get_object().email_address.user, request):
            return redirect("account_confirm_email", kwargs["key"])
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def logout_other_user(self, confirmation: Any) -> None:
        """The library signs out whoever opens the link of another account. Here the page says whose link it is."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if self.object:
            context["account"] = account = self.object.email_address.user
            context["is_signed_in"] = is_browser_of(account, self.request)
        return context


def sign_up(request: HttpRequest) -> HttpResponse:
    """There is no second door for new people."""
    return redirect("account_login")


@require_POST
def debug_login(request: HttpRequest) -> HttpResponse:
    """Sign in as anybody, for people who work on the site. Not even a URL without DEBUG."""
    if not may_sign_in_unproven(request):
        raise Http404
    form = DebugLoginForm(request.POST)
    if not form.is_valid():
        return redirect("account_login")
    slug = re.sub(r"[^a-z0-9]+", "-", form.cleaned_data["name"].lower()).strip("-") or "dev"
    user = registration.person_behind(f"{slug}@debug.example.com")
    user.role = form.cleaned_data["role"]
    with transaction.atomic():
        if form.cleaned_data["name"] != user.display_name:
            names.own(user, names.free_name(form.cleaned_data["name"], user))
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
        # The version that was on the screen: whoever had the page open while the terms changed sees them again.
        if request.POST.get("version") == TERMS.version:
            if not request.user.terms_version:  # the first visit
                profiles.propose_time_zone(request.user, request.POST.get("time_zone", ""))
            consent.accept_terms(request.user)
            return redirect(target)
    elif has_current_terms(request.user):
        return redirect(target)
    return render(request, "accounts/terms_accept.html", {"document": TERMS, "next": target})


@never_cache
@login_required
@require_safe
def suspended(request: SignedInRequest) -> HttpResponse:
    person = request.user
    if person.enabled:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(
        request,
        "accounts/suspended.html",
        {"reason": person.ban_reason, "since": person.banned_at, "contact": contact_address()},
        status=403,
    )


# --- Scripts ask who is there ---


@never_cache
@login_required
@require_safe
def present(request: SignedInRequest) -> JsonResponse:
    """Who is signed in, and the token that forms of theirs carry from now on: signing in changes it. Whoever may not
    contribute hears why, from the gate.
    """
    return JsonResponse({"person": str(request.user.pk), "token": get_token(request)})


# --- The profile ---


@keeps_words("profile")
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    form = ProfileForm(request.POST or None, person=request.user, kept=kept_forms.find(request, request.path))
    if request.method == "POST" and form.is_valid():
        try:
            profiles.update_profile(request.user, **form.cleaned_data)
        except Busy:
            raise  # a page of its own, with the time to wait
        except DomainError as error:
            add_refusal(form, error)
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("profile")
    # A refused name must not look saved: the page shows the person as stored.
    return render(request, "accounts/profile.html", {"form": form, "person": request.user})


@login_required
@require_POST
def languages(request: SignedInRequest) -> HttpResponse:
    """The answer to what the dashboard asks at the first visit."""
    form = LanguagesForm(request.POST)
    if form.is_valid():
        profiles.propose_time_zone(request.user, form.cleaned_data["time_zone"])
        profiles.choose_languages(request.user, form.cleaned_data["languages"])
        messages.success(request, "Your languages are saved. You can change them in your profile.")
    else:
        messages.error(request, "Please choose at least one language of the list.")
    return redirect("dashboard")


@login_required
@require_POST
def work_language(request: SignedInRequest) -> HttpResponse:
    """Remember what "Work in" of the dashboard says."""
    profiles.choose_work_language(request.user, request.POST.get("lang", ""))
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
    """Whoever came here proved a moment ago who they are (oasst.accounts.access_middleware)."""
    form = DeleteForm(request.POST or None, person=request.user)
    if request.method == "POST" and form.is_valid():
        person, email = request.user, request.user.email
        try:
            closing.close_account(person)
        except Conflict as refusal:
            form.add_error(None, refusal.message)
        else:
            logout(request)
            if email:
                tell(request, person, "account_closed", email=email, contact=contact_address())
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
