"""/styleguide/: every fragment and every page with sample data, for people who change the look.

Shown to moderators and administrators, and to everybody while DEBUG is on. Nothing here touches the database. The
samples are the contract between views and templates, written as data: when a template wants another variable, it is
added here first.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import count
from types import SimpleNamespace as Sample
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from oasst.core.markdown import rendering
from oasst.core.text.diff import word_diff
from oasst.core.text.language_question import LanguageQuestion
from oasst.core.text.languages import LANGUAGES as MENU
from tasks.kinds import Kind
from tasks.task_points import pay_of_asked
from trees.lifecycle.policy import TreePolicy

NOW = datetime(2026, 3, 14, 14, 20, tzinfo=UTC)
TASK_ID = "018f6b1e-0000-7000-8000-000000000001"

QUESTION = "Why does the second batch of pancakes brown so much faster than the first?"
ANSWER = (
    "Mostly because **the pan is hotter**. While the first batch cooks, the pan keeps storing heat, "
    "and the batter takes less of it away than you would think."
)
FOLLOW_UP = "So should I just wait longer before the first one? And how would I know when it is ready?"
LONG_ANSWER = """\
Yes, waiting helps. Three signs that need no thermometer:

1. A drop of water *dances* and does not just hiss.
2. Butter foams, then goes quiet, and stays yellow.
3. Your hand, a palm above the pan, wants to leave after two seconds.

If you like it exact, `ready()` says the same:

```python
def ready(drop_seconds: float) -> bool:
    \"\"\"A drop of water that dances for three seconds means the pan is hot enough.\"\"\"
    return 2.5 <= drop_seconds <= 4  # hotter than that and butter burns
```

| Drop      | Pan      | Seconds |
|-----------|----------|--------:|
| lies still| too cold |       – |
| dances    | ready    |       3 |

> Too hot is as bad as too cold: the outside is done before the inside.

A picture of the foam: ![butter that foams](https://example.org/foam.jpg)
"""


_numbers = count(1)


def turn(role: str, text: str, **more: Any) -> Sample:
    """One message as the views hand it over. `depth` grows with the list it stands in."""
    values: dict[str, Any] = {
        "id": UUID(int=next(_numbers)),
        "role": role,
        "html": rendering.render(text),
        "text": text,
        "lang": "en",
        "is_target": False,
        "is_mine": False,
        "synthetic": False,
        "created_at": None,
        "state": None,
        "rank": None,
        "depth": 0,
        "reply_count": 0,
        "replies": [],
    }
    return Sample(**{**values, **more})


def _talk(length: int) -> list[Sample]:
    """A conversation of one to five turns; the last one is framed."""
    turns = [
        turn("prompter", QUESTION),
        turn("assistant", ANSWER),
        turn("prompter", FOLLOW_UP),
        turn("assistant", LONG_ANSWER),
        turn("prompter", "That is the best answer I have had to this. Does it work for crêpes too?"),
    ][:length]
    turns[-1].is_target = True
    return turns


def _task(**more: Any) -> Sample:
    return Sample(
        **{
            "id": TASK_ID,
            "lang": "en",
            "lang_name": "English",
            "expires_at": NOW + timedelta(hours=48),
            "lease_until": NOW + timedelta(minutes=30),
            "skip_reasons": [
                ("too_hard", "Too hard for me"),
                ("unverifiable", "I can not check the facts"),
                ("language", "Wrong language"),
                ("broken", "Broken or empty"),
                ("harmful", "Harmful"),
                ("other", "Just not for me"),
            ],
            **more,
        }
    )


KINDS = {
    "initial_prompt": Sample(
        key="initial_prompt",
        title="Start a conversation",
        instruction="Open a new conversation with one clear request.",
        guide=[
            "Ask something that you would really like to know.",
            "Say what an answer needs to know; leave out what it does not.",
            "No private data, yours or other people's.",
        ],
        pay=pay_of_asked(Kind("initial_prompt"), TreePolicy()),
    ),
    "assistant_reply": Sample(
        key="assistant_reply",
        title="Answer as the assistant",
        instruction="Read the conversation and write the best answer you can.",
        guide=[
            "Correct first, then clear, then kind. Say so where you are not sure.",
            "As long as the question needs, and no longer.",
            "Your own words: nothing pasted from a website or a chatbot.",
        ],
        pay=pay_of_asked(Kind("assistant_reply"), TreePolicy()),
    ),
    "prompter_reply": Sample(
        key="prompter_reply",
        title="Continue as the user",
        instruction="Read the conversation and write what the same person would say next.",
        guide=["Stay the same person.", "React to the last answer.", "Lead the talk somewhere."],
        pay=pay_of_asked(Kind("prompter_reply"), TreePolicy()),
    ),
    "label_assistant_reply": Sample(
        key="label_assistant_reply",
        title="Check an answer",
        instruction="Judge the framed answer in its context.",
        guide=[
            "Read all of it before you answer.",
            "Facts and usefulness count most; taste does not.",
            "If you can not judge it, pass it on.",
        ],
        pay=pay_of_asked(Kind("label_assistant_reply"), TreePolicy()),
    ),
    "rank_assistant_replies": Sample(
        key="rank_assistant_replies",
        title="Order the answers",
        instruction="Put the most useful, most correct answer on top.",
        guide=[
            "Compare each with each, not only best and worst.",
            "An honest “I do not know” beats a confident mistake.",
            "Length alone is worth nothing.",
        ],
        pay=pay_of_asked(Kind("rank_assistant_replies"), TreePolicy()),
    ),
}


class TextForm(forms.Form):
    text_limit = 2000
    text = forms.CharField(widget=forms.Textarea)


class TextInLanguageForm(LanguageQuestion):
    text_limit = 2000
    text = forms.CharField(widget=forms.Textarea)


class LabelForm(forms.Form):
    """Shaped like the form of a checking task: plain fields, each with the definition of its label."""

    definitions = (
        (
            "Should this message be kept out of the data set?",
            "yes_no",
            [
                ("spam", "Should this message be kept out of the data set?", "Clumsy is not junk.", "", "", True),
                ("fails_task", "Does the answer miss the point?", "It ignores what was asked.", "", "", False),
            ],
        ),
        (
            "Tick whatever is true for the framed message",
            "flag",
            [
                ("lang_mismatch", "It is not in English", "Quotations and names do not count.", "", "", False),
                ("pii", "It reveals private data", "Contact details, identity or bank numbers.", "", "", False),
                ("hate_speech", "It attacks people for what they are", "", "", "", False),
            ],
        ),
        (
            "Place the framed message on each line",
            "likert",
            [
                ("quality", "How good is it, all in all?", "", "weak", "excellent", False),
                ("helpfulness", "Does it help?", "Would whoever asked be content?", "useless", "helpful", False),
                ("toxicity", "How polite is it?", "", "polite", "rude", False),
            ],
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for _title, _widget, labels in self.definitions:
            for name, _question, *_rest, mandatory in labels:
                message = "Please say whether it is junk; everything else may stay open."
                self.fields[name] = forms.CharField(required=mandatory, error_messages={"required": message})

    @property
    def groups(self) -> list[Sample]:
        return [
            Sample(title=title, widget=widget, fields=[self._labelled(*label) for label in labels])
            for title, widget, labels in self.definitions
        ]

    def _labelled(self, name: str, question: str, text: str, low: str, high: str, mandatory: bool) -> Any:
        field = self[name]
        definition = Sample(name=name, question=question, help=text, low=low, high=high, mandatory=mandatory)
        field.label_def = definition  # type: ignore[attr-defined]
        return field


def _reply(pk: str, position: int, text: str, **more: Any) -> Sample:
    return Sample(
        **{
            "id": pk,
            "position": position,
            "html": rendering.render(text),
            "text": text,
            "synthetic_badge": False,
            **more,
        }
    )


class RankForm(forms.Form):
    not_rankable = forms.BooleanField(required=False)
    items = (
        _reply("a1", 1, "Wait until a drop of water dances in the pan."),
        _reply("b2", 2, LONG_ANSWER, synthetic_badge=True),
        _reply("c3", 3, "I do not know for sure. I would throw the first one away."),
    )


LANGUAGES = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("es", "Español"),
    ("uk", "українська"),
    ("ja", "日本語"),
    ("ar", "العربية"),
]


class ProfileForm(forms.Form):
    display_name = forms.CharField(help_text="Only you and the moderators see it next to what you write.")
    time_zone = forms.ChoiceField(choices=[("Europe/Berlin", "Berlin"), ("America/Lima", "Lima")])
    interface_language = forms.ChoiceField(choices=LANGUAGES[:2])
    contribution_languages = forms.MultipleChoiceField(
        choices=LANGUAGES, widget=forms.CheckboxSelectMultiple, help_text="We offer you work in these."
    )


class DeleteForm(forms.Form):
    confirm = forms.CharField(label="Type your display name to confirm")


class LoginForm(forms.Form):
    login = forms.EmailField(label="E-mail address")
    password = forms.CharField(widget=forms.PasswordInput)


class CodeForm(forms.Form):
    code = forms.CharField()


def _card(kind: str, category: str, title: str, text: str, count: int) -> Sample:
    pay = pay_of_asked(Kind(kind), TreePolicy())
    return Sample(kind=kind, category=category, title=title, text=text, count=count, pay=pay)


CARDS = [
    _card("label_assistant_reply", "check", "Check an answer", "Review what another contributor answered.", 41),
    _card("rank_assistant_replies", "compare", "Order the answers", "Compare several answers to a question.", 17),
    _card("label_initial_prompt", "check", "Check an opener", "Keep junk out and describe what is good.", 12),
    _card("assistant_reply", "write", "Answer as the assistant", "Show the model how a good answer looks.", 9),
    _card("prompter_reply", "write", "Continue as the user", "Keep a conversation going.", 5),
    _card("initial_prompt", "write", "Start a conversation", "Invent the first message somebody could send.", 1),
]


def _row(
    kind: str, days: int, excerpt: str, state: str | None = None, label: str = "", rank: int | None = None
) -> Sample:
    at = NOW - timedelta(days=days)
    return Sample(kind=kind, excerpt=excerpt, url="#", at=at, state=state, state_label=label, rank=rank)


ROWS = [
    _row("reply", 0, "Yes, waiting helps. Three signs that need no thermometer: a drop …", "accepted", rank=1),
    _row("prompt", 0, QUESTION, "in_review", "2 of 3 reviews"),
    _row("review", 1, "Bias terms move the line away from the origin; without one …"),
    _row("ranking", 2, "How do I output a string in C++?"),
    _row("reply", 9, "https://example.org/buy-now " * 6, "rejected"),
]

COUNTS = {"prompts": 4, "replies": 12, "reviews": 131, "rankings": 18, "accepted": 9}


def _tree_root() -> Sample:
    at = NOW - timedelta(days=2)
    deep = turn(
        "assistant",
        "For crêpes a little cooler: the batter is thinner and sets sooner.",
        created_at=at,
        state="in_review",
        corrects=TASK_ID,
        changes=word_diff(
            "For crêpes a bit cooler: the batter is thinner.",
            "For crêpes a little cooler: the batter is thinner and sets sooner.",
        ),
    )
    target = turn(
        "prompter",
        "Does it work for crêpes too?",
        created_at=at,
        state="accepted",
        is_mine=True,
        is_target=True,
        replies=[deep],
    )
    best = turn(
        "assistant",
        LONG_ANSWER,
        created_at=at,
        state="accepted",
        rank=1,
        replies=[target],
        thumbs=Sample(mine="+1", up=7, down=1, may_give=True),
    )
    second = turn(
        "assistant",
        "Wait for the drop of water to dance.",
        created_at=at,
        state="accepted",
        rank=2,
        synthetic=True,
    )
    junk = turn("assistant", "This message was removed.", created_at=at, state="deleted")
    return turn(
        "prompter",
        QUESTION,
        created_at=at,
        state="accepted",
        replies=[best, second, junk],
    )


TIMELINE = [
    Sample(at=NOW - timedelta(days=2), label="The opener was written", reason=""),
    Sample(at=NOW - timedelta(days=2, hours=-3), label="Accepted", reason="Three readers, none against."),
    Sample(at=NOW - timedelta(days=1), label="Drawn to grow", reason="One of 14 openers that waited in English."),
    Sample(at=NOW, label="Growing", reason=""),
]
DOCUMENT = Sample(
    title="Sample terms",
    version="2026-01",
    summary=[
        "You keep the right to what you write.",
        "You let everybody use it.",
        "You can leave whenever you like.",
    ],
    sections=[
        (
            "What this is",
            [
                "A place to write, check and compare conversations.",
                "Nothing here is binding: it is a sample.",
            ],
        ),
        (
            "What you give",
            ["Your texts, reviews and rankings become part of a public data set, without your name."],
        ),
    ],
)
PEOPLE = [
    Sample(display_name="Alice Aldergrove"),
    Sample(display_name="Mo", is_staff=True, get_role_display="Moderator"),
    Sample(display_name="مريم", program_beside="A bot on Discord"),
]
USER = Sample(is_authenticated=True, is_staff=True, display_name="Alice Aldergrove", email="alice@example.org")
NOBODY = Sample(is_authenticated=False)


def _bad_labels() -> LabelForm:
    return LabelForm({"quality": "0.75", "pii": "1"})


def _refused_text() -> TextForm:
    form = TextForm({"text": "Yes, waiting helps. "})
    form.add_error("text", "You already answered this message.")
    return form


def _asked_text() -> TextInLanguageForm:
    return TextInLanguageForm({"text": "كيف يمكنني أن أتعلم البرمجة بسرعة؟"}, filed_as="en", may_move=True)


def _task_page(kind: str, turns: int, form: forms.Form, **more: Any) -> dict[str, Any]:
    return {
        "task": _task(),
        "kind": KINDS[kind],
        "conversation": _talk(turns) if turns else [],
        "form": form,
        **more,
    }


def _error(message: str = "", **more: Any) -> dict[str, Any]:
    steps = ["Go back and try again.", "If it happens again, tell a moderator."]
    return {"message": message, "what_to_do": steps, "request_id": "7f3a-12c9", **more}


def _dashboard(**more: Any) -> dict[str, Any]:
    return {
        "person": USER,
        "welcome": False,
        "lang": "en",
        "lang_name": "English",
        "languages": [(code, name, code == "en") for code, name in LANGUAGES],
        "cards": CARDS,
        "random": {"count": 85, "room": 12},
        "offered_languages": [],
        "idempotency_key": TASK_ID,
        "nothing": None,
        "open_tasks": [
            Sample(id=TASK_ID, title="Answer as the assistant", since=NOW, has_draft=True),
            Sample(id=TASK_ID, title="Check an opener", since=NOW, has_draft=False),
        ],
        "contribution_counts": COUNTS,
        "recent": ROWS[:3],
        "steps": None,
        **more,
    }


def _contributions(**more: Any) -> dict[str, Any]:
    names = [
        ("all", "Everything"),
        ("prompt", "Prompts"),
        ("reply", "Replies"),
        ("review", "Reviews"),
        ("ranking", "Rankings"),
    ]
    filters = [(value, label, value == "all", f"?kind={value}") for value, label in names]
    return {"rows": ROWS, "filters": filters, "next_url": "?before=1", "previous_url": "", **more}


OFFERED_LANGUAGES = [(one.code, one.own_name, one.english_name, one.code in ("ar", "en")) for one in MENU]
FIRST_STEPS = Sample(
    may_operate=True, invites=True, lang="en", site_url="https://oasst.example.org", idempotency_key=TASK_ID
)
NOTHING = Sample(
    title="Everything is done in English",
    text="Four conversations wait for their last rankings, and you have seen all of them.",
    unlock="A new opener would give other people something to answer.",
)

COLOURS = (
    *("paper", "surface", "sunken", "ink", "link", "mark", "stage", "user", "assistant"),
    *("write", "check", "compare", "good", "bad", "wait"),
)

# slug: template, whether somebody is signed in, context
PAGES: dict[str, tuple[str, bool, Callable[[], dict[str, Any]]]] = {
    "landing": ("pages/landing.html", False, dict),
    "dashboard": ("pages/dashboard.html", True, _dashboard),
    "dashboard-first-visit": (
        "pages/dashboard.html",
        True,
        lambda: _dashboard(welcome=True, open_tasks=[], recent=[], languages=[], offered_languages=OFFERED_LANGUAGES),
    ),
    "dashboard-new-site": (
        "pages/dashboard.html",
        True,
        lambda: _dashboard(cards=CARDS[5:6], open_tasks=[], recent=[], welcome=True, steps=FIRST_STEPS),
    ),
    "dashboard-nothing": (
        "pages/dashboard.html",
        True,
        lambda: _dashboard(cards=[], open_tasks=[], recent=[], nothing=NOTHING),
    ),
    "task-opener": ("tasks/task_text.html", True, lambda: _task_page("initial_prompt", 0, TextForm())),
    "task-answer": (
        "tasks/task_text.html",
        True,
        lambda: _task_page(
            "assistant_reply", 5, TextForm(initial={"text": "A little cooler, because"}), draft_saved_at=NOW
        ),
    ),
    "task-language": ("tasks/task_text.html", True, lambda: _task_page("initial_prompt", 0, _asked_text())),
    "task-refused": ("tasks/task_text.html", True, lambda: _task_page("assistant_reply", 1, _refused_text())),
    "task-follow-up": ("tasks/task_text.html", True, lambda: _task_page("prompter_reply", 2, TextForm())),
    "task-labels": (
        "tasks/task_labels.html",
        True,
        lambda: _task_page("label_assistant_reply", 4, LabelForm()),
    ),
    "task-labels-refused": (
        "tasks/task_labels.html",
        True,
        lambda: _task_page("label_assistant_reply", 2, _bad_labels()),
    ),
    "task-ranking": (
        "tasks/task_ranking.html",
        True,
        lambda: _task_page("rank_assistant_replies", 3, RankForm()),
    ),
    "contributions": ("trees/contributions.html", True, _contributions),
    "contributions-none": ("trees/contributions.html", True, lambda: _contributions(rows=[], next_url="")),
    "tree": (
        "trees/tree.html",
        True,
        lambda: {
            "tree": Sample(
                id=TASK_ID,
                state="growing",
                state_label="growing",
                lang_name="English",
                message_count=6,
                goal=9,
            ),
            "report_categories": [("spam", "Junk or advertising"), ("other", "Something else")],
            "root": _tree_root(),
            "target_id": "",
            "timeline": TIMELINE,
        },
    ),
    "suggest": (
        "trees/suggest.html",
        True,
        lambda: {
            "form": TextForm(),
            "conversation": _talk(2),
            "changes": word_diff("Take flour and salt.", "Take flour, water and salt."),
            "back_url": "#",
        },
    ),
    "profile": (
        "accounts/profile.html",
        True,
        lambda: {
            "form": ProfileForm(initial={"display_name": USER.display_name, "contribution_languages": ["en", "de"]}),
            "person": USER,
        },
    ),
    "profile-delete": (
        "accounts/profile_delete.html",
        True,
        lambda: {
            "consequences": [
                "Your texts, reviews and rankings stay in the data set without your name.",
                "You can no longer sign in with this account, and we can not bring it back.",
            ],
            "form": DeleteForm({"confirm": "Alcie"}),
        },
    ),
    "sessions": (
        "accounts/sessions.html",
        True,
        lambda: {
            "programs": 1,
            "rows": [
                Sample(handle="a1", is_this_one=True, program="Firefox on Linux", network="203.0.113.x", began_at=NOW),
                Sample(handle="b2", program="Safari on iPhone", network="2001:db8:1::/48", began_at=NOW, seen_at=NOW),
            ],
        },
    ),
    "second-factor": ("mfa/index.html", True, lambda: {"authenticators": {"totp": True}, "is_mfa_enabled": True}),
    "prove-by-code": (
        "account/reauthenticate_code.html",
        True,
        lambda: {
            "code": Sample(tries_left=4),
            "email": USER.email,
            "form": CodeForm(),
            "reauthentication_alternatives": [Sample(url="#", description="Sign out and in again")],
        },
    ),
    "terms": ("accounts/terms.html", False, lambda: {"document": DOCUMENT}),
    "terms-accept": (
        "accounts/terms_accept.html",
        True,
        lambda: {"document": DOCUMENT, "next": "/dashboard/"},
    ),
    "suspended": (
        "accounts/suspended.html",
        True,
        lambda: {
            "reason": "Eleven answers pasted from a chatbot.",
            "since": NOW,
            "contact": "moderators@example.org",
        },
    ),
    "sign-in": ("account/login.html", False, lambda: {"form": LoginForm()}),
    "sign-in-code": (
        "account/confirm_login_code.html",
        False,
        lambda: {"verify_form": CodeForm(), "email": USER.email, "can_resend": True},
    ),
    "sign-in-link": ("account/sign_in_link.html", False, lambda: {"person": USER, "key": "K7TQ-2M"}),
    "sign-in-link-over": (
        "account/sign_in_link_over.html",
        False,
        lambda: {"reason": "This sign-in link was used already, or is too old."},
    ),
    "sign-out": ("account/logout.html", True, dict),
    "error-403": ("errors/403.html", True, lambda: _error("This task was given to somebody else.")),
    "error-404": ("errors/404.html", False, _error),
    "error-429": ("errors/429.html", True, lambda: _error(retry_after=40)),
    "error-500": ("errors/500.html", False, _error),
}


def _messages() -> list[Sample]:
    return [
        Sample(level_tag="success", message="Thank you. Three readers will look at it."),
        Sample(level_tag="info", message="Your draft from 14:02 is back."),
        Sample(level_tag="warning", message="The hold on this task ended; we took it again for you."),
        Sample(level_tag="error", message="Saving failed. Your text is still here."),
    ]


def styleguide(request: HttpRequest) -> HttpResponse:
    """All fragments on one page."""
    profile = ProfileForm({"display_name": "", "time_zone": "Europe/Berlin", "interface_language": "en"})
    labels = _bad_labels()
    fields = {field.label_def.name: field for group in labels.groups for field in group.fields}
    context = {
        "user": USER,
        "toasts": _messages(),
        "talk": _talk(5),
        "bubbles": [
            turn("prompter", QUESTION, is_mine=True, state="in_review", created_at=NOW),
            turn(
                "assistant",
                "A reply by a model, placed second.",
                synthetic=True,
                state="accepted",
                rank=2,
            ),
            turn("assistant", "A reply that was not accepted.", state="rejected"),
            turn("prompter", "هل تعمل هذه الطريقة أيضًا؟", lang="ar"),
        ],
        "report_categories": [("spam", "Junk or advertising"), ("other", "Something else")],
        "root": _tree_root(),
        "cards": CARDS[:4],
        "lang": "en",
        "idempotency_key": TASK_ID,
        "kinds": [(card.kind, card.category) for card in CARDS]
        + [("random", ""), ("rank_prompter_replies", "compare")],
        "task": _task(),
        "kind": KINDS["assistant_reply"],
        "profile": profile,
        "labels": fields,
        "rank": RankForm(),
        "people": PEOPLE,
        "rows": ROWS,
        "counts": COUNTS,
        "timeline": TIMELINE,
        "document": DOCUMENT,
        "error": _error(retry_after=40),
        "pages": sorted(PAGES),
        "colours": COLOURS,
    }
    return render(request, "styleguide.html", context)


def styleguide_page(request: HttpRequest, page: str) -> HttpResponse:
    """One whole page as its view would show it."""
    if page not in PAGES:
        raise Http404
    template, signed_in, context = PAGES[page]
    return render(request, template, {"user": USER if signed_in else NOBODY, **context()})


def for_staff(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def guarded(request: HttpRequest, **parts: str) -> HttpResponse:
        if not (settings.DEBUG or request.user.is_staff):
            raise Http404
        return view(request, **parts)

    return guarded


urlpatterns = [
    path("", for_staff(styleguide), name="styleguide"),
    path("<slug:page>/", for_staff(styleguide_page), name="styleguide_page"),
]
