"""/styleguide/: every fragment and every page with sample data, for people who change the look.

Moderators and administrators see it, and everybody while DEBUG is on. Nothing here reads the database. The samples show
which variables each template expects: add a new variable here first.
"""

from collections import Counter
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
from django.template.loader import render_to_string
from django.urls import path
from django.utils.safestring import mark_safe

from leaderboard.goals import Goal
from leaderboard.levels import level_of
from leaderboard.own_statistics import table_of
from leaderboard.streaks import Streak
from leaderboard.time_frames import Frame
from oasst.accounts.forms import AppealForm, DecisionAppealForm, LanguagesField, LanguagesForm, TimeZoneInput
from oasst.accounts.models import User
from oasst.accounts.site_settings.reading import CurrentSettings
from oasst.core.markdown import rendering
from oasst.core.text.diff import word_diff
from oasst.core.text.languages import LANGUAGES as MENU
from oasst.site.models import NoticeAccount
from oasst.site.notices.forms import NoticeSettingsForm, initial_of
from oasst.site.notices.wording import Entry
from oasst.site.onboarding import OnboardingForm
from oasst.site.own_data.contents import PARTS
from oasst.site.pages import CATEGORIES, task_card
from tasks.forms import LabelForm, TextForm
from tasks.kinds import TABLE, Kind
from tasks.prompt_ideas import idea_at
from tasks.queries import NoWork, OpenTask
from tasks.task_points import points_when_asked
from trees.lifecycle.policy import TreePolicy
from trees.models import Report, Skip
from trees.showcase import example_story

NOW = datetime(2026, 3, 14, 14, 20, tzinfo=UTC)
TASK_ID = "018f6b1e-0000-7000-8000-000000000001"
POLICY = TreePolicy()

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
    """One message of a conversation or a tree, as views give it to templates."""
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
        "is_unfolded": True,
    }
    return Sample(**{**values, **more})


def _conversation(length: int) -> list[Sample]:
    """A conversation of one to five turns with the last one framed."""
    turns = [
        turn("prompter", QUESTION),
        turn("assistant", ANSWER),
        turn("prompter", FOLLOW_UP),
        turn("assistant", LONG_ANSWER),
        turn("prompter", "That is the best answer I have had to this. Does it work for crêpes too?"),
    ][:length]
    turns[-1].is_target = True
    return turns


TASK = Sample(
    id=TASK_ID,
    lang="en",
    lang_name="English",
    expires_at=NOW + timedelta(hours=48),
    lease_until=NOW + timedelta(minutes=30),
    skip_reasons=Skip.Reason.choices,
)


def _kind(kind: Kind) -> dict[str, Any]:
    row = TABLE[kind]
    return {
        "key": kind.value,
        "pay": points_when_asked(kind, POLICY),
        "guidelines_url": row.guidelines_url,
        **vars(row),
    }


def _landing() -> dict[str, Any]:
    story = example_story("en")
    context = {
        "figures": Sample(messages=12_480, finished=1_024, languages=17, people=905),
        "story": story,
        "story_lang": "English",
        "snapshot": None,
        "languages": len(MENU),
        "operator": "A library",
        "contact": "library@example.org",
    }
    return {"main": mark_safe(render_to_string("pages/landing_main.html", context)), "page_url": "#"}  # noqa: S308


def _labels(data: dict[str, str] | None = None) -> LabelForm:
    return LabelForm(data, asked=POLICY.labels_assistant_reply, mandatory=POLICY.mandatory_labels)


def _text(*args: Any, filed_as: str = "en", **kwargs: Any) -> TextForm:
    return TextForm(*args, text_limit=2000, filed_as=filed_as, may_move=True, **kwargs)


def _reply(pk: str, position: int, text: str, *, synthetic_badge: bool = False) -> Sample:
    html = rendering.render(text)
    return Sample(id=pk, position=position, html=html, text=text, synthetic_badge=synthetic_badge)


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
    time_zone = forms.CharField(widget=TimeZoneInput)
    interface_language = forms.ChoiceField(choices=LANGUAGES[:2])
    contribution_languages = LanguagesField(help_text="We offer you work in these.")


class DeleteForm(forms.Form):
    confirm = forms.CharField(label="Type your display name to confirm")


class LoginForm(forms.Form):
    login = forms.EmailField(label="E-mail address")
    password = forms.CharField(widget=forms.PasswordInput)


class CodeForm(forms.Form):
    code = forms.CharField()


CARDS = [
    task_card(kind, number, 3, POLICY)
    for kind, number in {
        Kind.LABEL_ASSISTANT_REPLY: 41,
        Kind.RANK_ASSISTANT_REPLIES: 17,
        Kind.LABEL_INITIAL_PROMPT: 12,
        Kind.ASSISTANT_REPLY: 9,
        Kind.PROMPTER_REPLY: 5,
        Kind.INITIAL_PROMPT: 1,
    }.items()
]


def _row(
    kind: str, days: int, excerpt: str, state: str | None = None, label: str = "", rank: int | None = None, **more: Any
) -> Sample:
    at = NOW - timedelta(days=days)
    return Sample(kind=kind, excerpt=excerpt, url="#", at=at, state=state, state_label=label, rank=rank, **more)


ROWS = [
    _row("reply", 0, "Yes, waiting helps. Three signs that need no thermometer: …", "accepted", rank=1, answers=2),
    _row("prompt", 0, QUESTION, "in_review", "2 of 3 reviews"),
    _row("review", 1, "Bias terms move the line away from the origin; without one …"),
    _row("ranking", 2, "How do I output a string in C++?"),
    _row("reply", 9, "https://example.org/buy-now " * 6, "rejected", reasons="it does not belong in the data set"),
]

_ENTRIES = (
    ("answered", "write", "chat", "Your text has 3 new replies.", ANSWER, True),
    ("rejected", "bad", "cross", "Your reply was not accepted. Reviewers said: it misses the point.", QUESTION, True),
    ("ranked_first", "compare", "top", "People ranked your reply first.", ANSWER, False),
    ("level_reached", "mark", "spark", "You reached level 7.", "", False),
)


def _notices(**more: Any) -> dict[str, Any]:
    entries = [
        Entry(kind, tone, icon, text, excerpt, "#", NOW - timedelta(hours=hours), unread)
        for hours, (kind, tone, icon, text, excerpt, unread) in enumerate(_ENTRIES)
    ]
    form = NoticeSettingsForm(initial=initial_of(NoticeAccount()), has_mail=True)
    page = Sample(entries=entries, newest=4)
    return {"page": page, "unread_notices": 2, "form": form, "has_mail": True, "older_url": "?before=1", **more}


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
        "assistant", "Wait for the drop of water to dance.", created_at=at, state="accepted", rank=2, synthetic=True
    )
    junk = turn("assistant", "This message was removed.", created_at=at, state="deleted")
    return turn("prompter", QUESTION, created_at=at, state="accepted", replies=[best, second, junk])


TIMELINE = [
    Sample(at=NOW - timedelta(days=2), label="The opener was written", reason=""),
    Sample(at=NOW - timedelta(days=2, hours=-3), label="Accepted", reason="Three readers, none against."),
    Sample(at=NOW - timedelta(days=1), label="Drawn to grow", reason="One of 14 openers that waited in English."),
    Sample(at=NOW, label="Growing", reason=""),
]
DOCUMENT = Sample(
    title="Sample terms",
    version="2026-01",
    summary=["You keep the right to what you write.", "You let everybody use it.", "You can leave whenever you like."],
    sections=[
        (
            "What this is",
            ["A site to write, check and compare conversations.", "Nothing here is binding: it is a sample."],
        ),
        ("What you give", ["Your texts, reviews and rankings become part of a public data set, without your name."]),
    ],
)
PEOPLE = [
    Sample(display_name="Alice Aldergrove"),
    Sample(display_name="Mo", is_moderator=True, get_role_display="Moderator"),
    Sample(display_name="مريم", program_beside="A bot on Discord"),
]
USER = Sample(
    is_authenticated=True, is_staff=True, is_moderator=True, display_name="Alice Aldergrove", email="alice@example.org"
)
NOBODY = Sample(is_authenticated=False)


def _incomplete_labels() -> LabelForm:
    return _labels({"quality": "0.75", "pii": "1"})


def _rejected_text() -> TextForm:
    form = _text({"text": "Yes, waiting helps. "})
    form.add_error("text", "You already answered this message.")
    return form


def _task_page(kind: str, turns: int, form: forms.Form, **more: Any) -> dict[str, Any]:
    conversation = _conversation(turns) if turns else []
    return {"task": TASK, "kind": _kind(Kind(kind)), "conversation": conversation, "form": form, **more}


SIMILAR = {
    "similar": [
        Sample(message_id=TASK_ID, text="Why do the later pancakes get brown more quickly than the first ones?"),
        Sample(message_id=TASK_ID, text="What makes a pan hotter from pancake to pancake?"),
    ],
    "similar_seen": True,
    "similar_asks": True,
}


def _error(message: str = "", **more: Any) -> dict[str, Any]:
    steps = ["Go back and try again.", "If it happens again, tell a moderator."]
    return {"message": message, "what_to_do": steps, "request_id": "7f3a-12c9", **more}


def _open_task(title: str, draft: str = "") -> OpenTask:
    now = datetime.now(UTC)  # what is left is shown
    until = now + timedelta(hours=31, minutes=5)
    return OpenTask(UUID(TASK_ID), title, now, until, excerpt=QUESTION, draft=draft, has_draft=bool(draft))


def _columns(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    nothing = NoWork(
        "Nothing to compare right now", "No message has several accepted answers.", "They come when people write some."
    )
    columns = []
    for category in CATEGORIES:
        own = [card for card in cards if card["category"] == category]
        columns.append({"category": category, "cards": own, "nothing": None if own else nothing})
    return columns


def _dashboard(**more: Any) -> dict[str, Any]:
    return {
        "person": USER,
        "welcome": False,
        "lang": "en",
        "lang_name": "English",
        "columns": _columns(CARDS),
        "random": {"count": 85, "room": 12},
        "languages_form": None,
        "idempotency_key": TASK_ID,
        "nothing": None,
        "open_tasks": [_open_task("Answer as the assistant", "A little cooler"), _open_task("Check an opener")],
        "contribution_counts": COUNTS,
        "level": level_of(180),
        "points_today": 14,
        "streak": Streak(6, done_today=False),
        "goal": Goal(5, 3),
        "goal_default": 5,
        "goal_limit": 200,
        "top_five": [
            Sample(rank=rank, person=person, score=60 - 9 * rank, is_me=rank == 2)
            for rank, person in enumerate(PEOPLE, start=1)
        ],
        "work_version": "0",
        "chat_is_on": True,
        "recent": ROWS[:3],
        "steps": None,
        **more,
    }


def _suspended(**more: Any) -> dict[str, Any]:
    reason = "Eleven answers pasted from a chatbot."
    return {"reason": reason, "since": NOW, "contact": "moderators@example.org", "appeal": None, **more}


def _answered(status: str, answer: str) -> Sample:
    return Sample(text="Those words were mine.", status=status, created_at=NOW, decided_at=NOW, answer=answer)


def _decision(*, form: DecisionAppealForm | None = None, **more: Any) -> dict[str, Any]:
    decision = Sample(
        entry=Sample(pk=1),
        sentence="A moderator removed your reply.",
        reason="Word for word from page 12 of a cookbook.",
        at=NOW,
        until=NOW + timedelta(days=30),
        can_be_appealed=True,
        **{"appeals": [], **more},
    )
    return {"decision": decision, "message": Sample(created_at=NOW - timedelta(days=2)), "form": form}


def _reports() -> dict[str, Any]:
    about = {"at": NOW, "url": "#", "words": "From a cookbook."}
    rows = [
        Sample(
            category="Junk or advertising", tone="wait", state="A moderator will look at it", excerpt=QUESTION, **about
        ),
        Sample(
            category="Copied from somewhere",
            tone="good",
            state="You were right",
            excerpt="(removed)",
            outcome="Word for word from page 12.",
            decided_at=NOW,
            **about | {"url": ""},
        ),
    ]
    return {"rows": rows, "filters": [("Messages", True, "#"), ("Chat answers", False, "#")], "older_url": "#"}


def _own_statistics() -> dict[str, Any]:
    counts = {frame: Counter(prompts=9, labels_full=n, replies_assistant=4) for n, frame in enumerate(Frame)}
    user = User(show_on_leaderboard=False)
    return {"statistics": table_of(user, counts), "hidden": True}


def _contributions(**more: Any) -> dict[str, Any]:
    names = {"all": "Everything", "prompt": "Prompts", "reply": "Replies", "review": "Reviews", "ranking": "Rankings"}
    filters = [(value, label, value == "all", f"?kind={value}") for value, label in names.items()]
    return {"rows": ROWS, "filters": filters, "next_url": "?before=1", "previous_url": "", **more}


FOUND = [
    Sample(
        id=TASK_ID,
        kind="prompt",
        lang="en",
        lang_name="English",
        at=NOW,
        excerpt=[Sample(text="How hot must a ", is_match=False), Sample(text="pan", is_match=True)],
        state="accepted",
        tree_state="In the data set",
        best_answer="Hot enough that a drop of water dances.",
        replies=11,
    ),
    Sample(
        id=TASK_ID,
        kind="answer",
        lang="en",
        lang_name="English",
        at=NOW,
        excerpt=[Sample(text="Wait until the butter stops foaming.", is_match=False)],
        state="in_review",
        tree_state="Growing",
        is_mine=True,
        rank=2,
        prompt="How hot must a pan be?",
    ),
]
FIRST_STEPS = Sample(may_operate=True, lang="en", site_url="https://oasst.example.org", idempotency_key=TASK_ID)
NOTHING = Sample(
    title="Everything is done in English",
    text="Four conversations wait for their last rankings, and you have seen all of them.",
    unlock="A new opener would give other people something to answer.",
)

COLORS = (
    *("paper", "surface", "sunken", "ink", "link", "mark", "stage", "user", "assistant"),
    *("write", "check", "compare", "good", "bad", "wait"),
)

# Slug: template, whether a user is signed in, a function that makes the context.
PAGES: dict[str, tuple[str, bool, Callable[[], dict[str, Any]]]] = {
    "landing": ("pages/landing.html", False, _landing),
    "dashboard": ("pages/dashboard.html", True, _dashboard),
    "dashboard-first-visit": (
        "pages/dashboard.html",
        True,
        lambda: _dashboard(
            welcome=True,
            open_tasks=[],
            recent=[],
            languages_form=LanguagesForm(initial={"languages": ["ar", "en"]}),
        ),
    ),
    "dashboard-new-site": (
        "pages/dashboard.html",
        True,
        lambda: _dashboard(columns=_columns(CARDS[5:6]), open_tasks=[], recent=[], welcome=True, steps=FIRST_STEPS),
    ),
    "dashboard-nothing": (
        "pages/dashboard.html",
        True,
        lambda: _dashboard(columns=[], open_tasks=[], recent=[], nothing=NOTHING),
    ),
    "onboarding": (
        "pages/onboarding.html",
        True,
        lambda: {
            "form": OnboardingForm(initial={"languages": ["de", "en"], "time_zone": "Europe/Berlin"}),
            "next": "/dashboard/",
            "person": Sample(display_name="Ada", contribution_languages=[], time_zone="UTC"),
        },
    ),
    "task-opener": ("tasks/task_text.html", True, lambda: _task_page("initial_prompt", 0, _text(), idea=idea_at(0))),
    "task-answer": (
        "tasks/task_text.html",
        True,
        lambda: _task_page("assistant_reply", 5, _text(initial={"text": "A little cooler"}), draft_saved_at=NOW),
    ),
    "task-language": (
        "tasks/task_text.html",
        True,
        lambda: _task_page("initial_prompt", 0, _text({"text": "كيف يمكنني أن أتعلم البرمجة بسرعة؟"})),
    ),
    "task-similar": (
        "tasks/task_text.html",
        True,
        lambda: _task_page("initial_prompt", 0, _text({"text": QUESTION}), **SIMILAR),
    ),
    "task-refused": ("tasks/task_text.html", True, lambda: _task_page("assistant_reply", 1, _rejected_text())),
    "task-follow-up": ("tasks/task_text.html", True, lambda: _task_page("prompter_reply", 2, _text())),
    "task-labels": ("tasks/task_labels.html", True, lambda: _task_page("label_assistant_reply", 4, _labels())),
    "task-labels-refused": (
        "tasks/task_labels.html",
        True,
        lambda: _task_page("label_assistant_reply", 2, _incomplete_labels()),
    ),
    "task-ranking": ("tasks/task_ranking.html", True, lambda: _task_page("rank_assistant_replies", 3, RankForm())),
    "contributions": ("trees/contributions.html", True, _contributions),
    "contributions-none": ("trees/contributions.html", True, lambda: _contributions(rows=[], next_url="")),
    "notices": ("notices/notices.html", True, _notices),
    "notices-none": (
        "notices/notices.html",
        True,
        lambda: _notices(page=Sample(entries=[], newest=None), older_url=""),
    ),
    "notices-stop": ("notices/stop.html", False, dict),
    "notices-stopped": ("notices/stop.html", False, lambda: {"is_done": True}),
    "tree": (
        "trees/tree.html",
        True,
        lambda: {
            "tree": Sample(
                id=TASK_ID, state="growing", state_label="growing", lang_name="English", message_count=6, goal=9
            ),
            "report_categories": Report.Category.choices,
            "root": _tree_root(),
            "target_id": "",
            "is_visitor": False,
            "site_url": "https://oasst.example.org",
            "timeline": TIMELINE,
        },
    ),
    "suggest": (
        "trees/suggest.html",
        True,
        lambda: {
            "form": _text(),
            "conversation": _conversation(2),
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
                "You can no longer sign in with this account, and we cannot bring it back.",
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
    "terms-accept": ("accounts/terms_accept.html", True, lambda: {"document": DOCUMENT, "next": "/dashboard/"}),
    "suspended": (
        "accounts/suspended.html",
        True,
        lambda: _suspended(form=AppealForm()),
    ),
    "suspended-waiting": (
        "accounts/suspended.html",
        True,
        lambda: _suspended(appeal=Sample(text="Those answers were mine.", created_at=NOW, decided_at=None)),
    ),
    "suspended-refused": (
        "accounts/suspended.html",
        True,
        lambda: _suspended(
            appeal=Sample(
                text="Those answers were mine.",
                created_at=NOW,
                decided_at=NOW,
                answer="All eleven are word for word what a chatbot writes.",
            ),
            again_at=NOW + timedelta(days=14),
        ),
    ),
    "suspended-until": (
        "accounts/suspended.html",
        True,
        lambda: _suspended(
            until=NOW + timedelta(days=7),
            form=AppealForm(),
            earlier=[_answered("refused", "All eleven are word for word what a chatbot writes.")],
        ),
    ),
    "warning": (
        "accounts/warning.html",
        True,
        lambda: {
            "warning": Sample(pk=1, reason="Please write answers yourself.", about=ANSWER, at=NOW),
            "entry_id": 1,
            "next": "/dashboard/",
        },
    ),
    "decision": ("trees/decision.html", True, lambda: _decision(form=DecisionAppealForm())),
    "decision-appealed": (
        "trees/decision.html",
        True,
        lambda: _decision(appeals=[_answered("refused", "It is still from page 12.")], again_at=NOW),
    ),
    "reports": ("trees/reports.html", True, _reports),
    "thanks": (
        "accounts/thanks.html",
        False,
        lambda: {
            "names": ["Ada Lovelace", "Alan Turing", "Grace Hopper", "山田花子", "ليلى"],
            "previous": 0,
            "next": 2,
        },
    ),
    "own-statistics": ("leaderboard/own_statistics.html", True, _own_statistics),
    "own-data": ("accounts/own_data.html", True, lambda: {"parts": [part.about for part in PARTS]}),
    "sign-in": ("account/login.html", False, lambda: {"form": LoginForm()}),
    "sign-in-code": (
        "account/confirm_login_code.html",
        False,
        lambda: {"verify_form": CodeForm(), "email": USER.email, "can_resend": True},
    ),
    "sign-in-mailed-link": (
        "account/mailed_sign_in.html",
        False,
        lambda: {"email": USER.email, "key": "K7TQ-2M", "is_here": False, "asked_from": "Firefox on Linux"},
    ),
    "sign-in-mailed-link-over": (
        "account/mailed_sign_in_over.html",
        False,
        lambda: {"reason": "This sign-in link was used already, or is too old."},
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


TOASTS = [
    Sample(level_tag="success", message="Thank you. Three readers will look at it."),
    Sample(level_tag="info", message="Your draft from 14:02 is back."),
    Sample(level_tag="warning", message="The hold on this task ended; we took it again for you."),
    Sample(level_tag="error", message="Saving failed. Your text is still here."),
]


def styleguide(request: HttpRequest) -> HttpResponse:
    """Show all fragments on one page."""
    profile = ProfileForm({"display_name": "", "time_zone": "Europe/Berlin", "interface_language": "en"})
    labels = _incomplete_labels()
    context = {
        "user": USER,
        "own_level": level_of(1_234),
        "work_languages": [("en", "English", True), ("pt-BR", "Portuguese (Brazil)", False)],
        "announcement": CurrentSettings(announcement="On Sunday the site moves.", announcement_url="/about/"),
        "toasts": TOASTS,
        "proof": Sample(challenge={}, ticket="K7TQ-2M", seconds=60),
        "conversation": _conversation(5),
        "bubbles": [
            turn("prompter", QUESTION, is_mine=True, state="in_review", created_at=NOW),
            turn("assistant", "A reply by a model, ranked second.", synthetic=True, state="accepted", rank=2),
            turn("assistant", "A reply that was not accepted.", state="rejected"),
            turn("prompter", "هل تعمل هذه الطريقة أيضًا؟", lang="ar"),
        ],
        "report_categories": Report.Category.choices,
        "root": _tree_root(),
        "cards": CARDS[:4],
        "lang": "en",
        "idempotency_key": TASK_ID,
        "kinds": [("random", ""), *((kind.value, row.category) for kind, row in TABLE.items())],
        "task": TASK,
        "kind": _kind(Kind.ASSISTANT_REPLY),
        "profile": profile,
        "labels": {field.name: field for group in labels.groups for field in group.fields},
        "rank": RankForm(),
        "people": PEOPLE,
        "rows": ROWS,
        "found_rows": FOUND,
        "site_url": "https://oasst.example.org",
        "counts": COUNTS,
        "timeline": TIMELINE,
        "document": DOCUMENT,
        "error": _error(retry_after=40),
        "pages": sorted(PAGES),
        "colors": COLORS,
    }
    return render(request, "styleguide.html", context)


def styleguide_page(request: HttpRequest, page: str) -> HttpResponse:
    """Show one whole page as its view would."""
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
