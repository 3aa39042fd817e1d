"""Who may see which page of the admin and do what there: the whole table, for the tests and for docs/permissions.md.

tests/security/test_permissions.py fails for a page, an action or a service without a line here. A new page needs one
line; the words are explained below. `python -m tests.security.permissions` writes the table into the documentation.
"""

from collections.abc import Iterator

ROLES = (
    *("anonymous", "member", "program", "suspended", "without second factor"),
    *("operator", "auditor", "moderator", "moderator elsewhere", "administrator"),
)
"""`suspended`: a moderator who is. `without second factor`: a moderator, where REQUIRE_MFA demands one. `program`: with
the key of a trusted API client. `moderator elsewhere`: moderates other languages only.
"""
REFUSALS = {
    "anonymous": "login",
    "member": "403",
    "program": "login",
    "suspended": "403",
    "without second factor": "factor",
}
"""What those get on every page who may see none."""
_MODERATORS = {"moderator", "moderator elsewhere"}
WORDS = {
    "everyone": {"operator", "auditor", "administrator", *_MODERATORS},
    "readers": {"auditor", "administrator", *_MODERATORS},
    "observers": {"auditor", "administrator"},
    "technicians": {"operator", "auditor", "administrator"},
    "moderators": {"administrator", *_MODERATORS},
    "moderators-here": {"administrator", "moderator"},
    "operators": {"operator", "administrator"},
    "administrators": {"administrator"},
    "nobody": set[str](),
}
"""Who is let in. `moderators-here`: moderators of the language of what the page shows."""

PAGES = """
# name                       GET             POST
index                        everyone        everyone
search                       everyone        everyone
status                       everyone        everyone
logout                       -               everyone
password_change              everyone        everyone
password_change_done         everyone        -
autocomplete                 nobody          nobody
jsi18n                       everyone        -
view_on_site                 nobody          nobody
app_list                     nobody          nobody
admin/(?P<url>.*)$           nobody          nobody
desk                         moderators      -
desk_take                    -               moderators
desk_decide                  -               moderators
desk_undo                    -               moderators
desk_renew                   -               moderators
desk_leave                   -               moderators
decision_undo                -               moderators
ban_proposal                 -               administrators
bulk_acts                    moderators      -
bulk_new                     moderators      moderators
bulk_act                     moderators      moderators
operation                    technicians     -
jobs                         technicians     -
job                          technicians     operators
core_auditentry_export       -               observers
accounts_user_purge          moderators      moderators
accounts_user_merge          moderators      moderators
accounts_user_edit           moderators      moderators
accounts_apiclient_edit      operators       operators
accounts_apiclient_rotate    operators       operators
accounts_sitesettings_now    technicians     operators
accounts_sitesettings_back   operators       operators
trees_message_edit           moderators-here moderators-here
trees_message_personal_data  -               moderators-here
trees_policyversion_rules    everyone        -
trees_policyversion_edit     administrators  administrators
trees_policyversion_preview  -               administrators
inference_engine             technicians     technicians
inference_evaluation_report  technicians     technicians
"""
MODELS = """
# model                         list, row, history  add        change     actions, by whom
accounts.user                   readers             nobody     nobody     moderators warn ban unban administrators refuse withdraw
accounts.appeal                 readers             nobody     nobody     moderators grant moderators-here grant_only moderators refuse
accounts.accountwarning         readers             nobody     nobody     moderators withdraw
accounts.sitesettings           technicians         nobody     nobody
accounts.apiclient              technicians         operators  nobody     operators new_key trust distrust switch_on switch_off
accounts.apikey                 technicians         nobody     nobody     operators end_in_a_week revoke
trees.messagetree               readers             nobody     nobody     moderators-here halt resume retry_scoring
trees.treetransition            readers             nobody     nobody
trees.message                   readers             nobody     nobody     moderators-here delete administrators mark_gold choose_for_review choose_for_ranking
trees.goldmessage               observers           nobody     nobody     administrators end
trees.practicetext              observers           nobody     nobody     administrators explain end
trees.deletion                  readers             nobody     nobody     moderators-here undelete
trees.opening                   readers             nobody     nobody
trees.report                    readers             nobody     nobody     moderators-here uphold dismiss
trees.proposal                  readers             nobody     nobody     moderators-here uphold dismiss
trees.withdrawal                readers             nobody     nobody     moderators-here grant refuse
trees.nearduplicate             readers             nobody     nobody     moderators-here dismiss halt delete_newer
trees.hardprompt                readers             nobody     nobody     moderators-here take refuse
trees.purge                     readers             nobody     nobody     moderators undo
trees.qualitymodel              readers             nobody     nobody
trees.snapshot                  readers             nobody     nobody
trees.policyversion             everyone            nobody     nobody     administrators put_in_force apply go_back discard
trees.policyrun                 everyone            nobody     nobody     administrators stop
trees.webhook                   technicians         operators  nobody     operators send_ping renew_secret switch_on switch_off remove
trees.delivery                  technicians         nobody     nobody
leaderboard.trollstanding       readers             nobody     nobody     moderators act_on_many
inference.chatreport            readers             nobody     nobody     moderators resolve
inference.turn                  technicians         nobody     nobody
inference.trainingrun           technicians         nobody     nobody     administrators stop resume
inference.servedmodel           technicians         nobody     nobody     administrators to_staff to_share to_everybody withdraw roll_back
inference.evaluation            technicians         nobody     nobody
inference.battle                observers           nobody     nobody
inference.battleboard           observers           nobody     nobody
inference.preset                observers           nobody     nobody
inference.vote                  observers           nobody     nobody
core.auditentry                 observers           nobody     nobody
core.waitingjob                 technicians         nobody     nobody     operators try_now give_up
"""  # noqa: E501

TARGETS = ("member", "auditor", "moderator", "administrator", "oneself")
"""Whom an act is about."""
ACTORS = ("member", "suspended", "operator", "auditor", "moderator", "administrator")
ON_PEOPLE = """
# act, of a moderator                   member        auditor       moderator     administrator oneself
bans.ban                                yes           rank          rank          rank          rank
bans.unban                              yes           rank          rank          rank          rank
account_changes.change_account          yes           rank          rank          rank          rank
account_changes.change_account:rights   admins        rank          rank          rank          rank
purge_proposals.propose                 yes           rank          rank          rank          rank
purge_proposals.confirm                 yes           rank          rank          rank          rank
purge_proposals.refuse                  yes           rank          rank          rank          rank
purge_proposals.purge_alone             two           rank          rank          rank          rank
purge_proposals.withdraw                own           own           own           own           own
purging.undo_purge                      yes           rank          rank          rank          rank
merge_proposals.propose                 yes           rank          rank          rank          rank
merge_proposals.confirm                 yes           rank          rank          rank          rank
merge_proposals.refuse                  yes           rank          rank          rank          rank
merge_proposals.merge_alone             two           rank          rank          rank          rank
merge_proposals.withdraw                own           own           own           own           own
appeals.refuse                          yes           rank          rank          rank          rank
bans.grant_appeal                       yes           rank          rank          rank          appeal
warnings.warn                           yes           rank          rank          rank          rank
warnings.withdraw_warning               yes           rank          rank          rank          rank
bans.withdraw_proposal                  own           own           own           own           own
# act, of an administrator              member        auditor       moderator     administrator oneself
bans.ban                                yes           yes           yes           second        rank
bans.unban                              yes           yes           yes           second        rank
account_changes.change_account          yes           yes           yes           rank          rank
account_changes.change_account:rights   yes           yes           yes           rank          rank
purge_proposals.propose                 yes           yes           yes           rank          rank
purge_proposals.confirm                 yes           yes           yes           rank          rank
purge_proposals.refuse                  yes           yes           yes           rank          rank
purge_proposals.purge_alone             two           two           two           rank          rank
purge_proposals.withdraw                own           own           own           own           own
purging.undo_purge                      yes           yes           yes           rank          rank
merge_proposals.propose                 yes           staff         staff         rank          rank
merge_proposals.confirm                 yes           staff         staff         rank          rank
merge_proposals.refuse                  yes           yes           yes           rank          rank
merge_proposals.merge_alone             two           staff         staff         rank          rank
merge_proposals.withdraw                own           own           own           own           own
appeals.refuse                          yes           yes           yes           rank          rank
bans.grant_appeal                       yes           yes           yes           second        appeal
warnings.warn                           yes           yes           yes           rank          rank
warnings.withdraw_warning               yes           yes           yes           rank          rank
bans.withdraw_proposal                  own           own           own           own           own
"""
"""Nobody else does any of them."""
RESULTS = {
    "yes": ("", "done"),
    "second": ("", "proposed: it happens when another administrator does the same"),
    "rank": ("rank", "refused: this needs a higher rank than theirs"),
    "admins": ("administrators_only", "refused: only administrators change rights"),
    "two": ("second_person_needed", "refused while somebody else could confirm it"),
    "staff": ("staff", "refused: their role and duties have to be taken away first"),
    "appeal": ("own_appeal", "refused: somebody else answers one's own appeal"),
    "own": ("nothing_proposed", "only one's own proposal"),
}
"""The words of ON_PEOPLE and ON_CONVERSATIONS → the code of the refusal, and what they mean."""

ON_CONVERSATIONS = """
# act                                        theirs  in other languages  one's own text
moderator_actions.halt                       yes     other_language      yes
moderator_actions.resume                     yes     other_language      own_message
moderator_actions.retry_scoring              yes     other_language      yes
moderator_actions.delete_message             yes     other_language      yes
moderator_actions.undelete                   yes     other_language      own_message
moderator_actions.edit_message               yes     other_language      own_message
moderator_actions.uphold                     yes     other_language      yes
moderator_actions.dismiss                    yes     other_language      own_message
moderator_actions.grant_withdrawal           yes     other_language      yes
moderator_actions.refuse_withdrawal          yes     other_language      yes
moderator_actions.settle_report:upheld       yes     other_language      yes
moderator_actions.settle_report:dismissed    yes     other_language      own_message
moderator_actions.keep                       yes     other_language      own_message
moderator_actions.hide                       yes     other_language      yes
moderator_actions.move_to_language           yes     other_language      yes
moderator_actions.undo                       yes     other_language      yes
personal_data.mask                           yes     other_language      yes
personal_data.keep                           yes     other_language      yes
pairs.decide                                 yes     other_language      yes
moderation.resolve_report                    yes     yes                 yes
"""
"""Of moderators and administrators; administrators decide in every language. Everybody else: `moderators_only`.
"""


def rows(table: str) -> Iterator[list[str]]:
    for line in table.splitlines():
        if line and not line.startswith("#"):
            yield line.split()


def expected(word: str, role: str) -> str:
    """Return what a role gets on a page with this word: `ok`, or what refuses it."""
    return REFUSALS.get(role) or ("ok" if role in WORDS[word] else "403")


def actions(row: list[str]) -> list[tuple[str, str]]:
    """Return (action, word) of each action of a row of MODELS."""
    found, word = [], "nobody"
    for one in row[4:]:
        if one in WORDS:
            word = one
        else:
            found.append((one, word))
    return found


def on_people() -> dict[str, dict[str, dict[str, str]]]:
    """Return role → act → target → word."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    role = ""
    for line in ON_PEOPLE.strip().splitlines():
        if line.startswith("#"):
            role = "moderator" if "of a moderator" in line else "administrator"
        else:
            act, *words = line.split()
            found.setdefault(role, {})[act] = dict(zip(TARGETS, words, strict=True))
    return found


# --- The documentation ---

SHOWN = ROLES[5:]


def table() -> str:
    """Return all of it as Markdown."""
    return "\n".join([*_pages(), "", *_models(), "", *_people(), "", *_conversations()])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(cells: list[str]) -> list[str]:
    return [_line(cells), "|---" * len(cells) + "|"]


def _marks(word: str) -> list[str]:
    return ["yes" if word in WORDS and role in WORDS[word] else "" for role in SHOWN]


def _pages() -> Iterator[str]:
    yield "### Pages\n"
    yield from _head(["Page", *SHOWN])
    for name, get, post in rows(PAGES):
        if {get, post} != {"nobody"}:
            yield _line([f"`{name}`", *_marks(post if get == "-" else get)])


def _models() -> Iterator[str]:
    yield "### Lists, and what can be done there\n"
    yield from _head(["What", *SHOWN])
    for row in rows(MODELS):
        label, read, add, change = row[:4]
        yield _line([f"read `{label}`", *_marks(read)])
        for verb, word in (("add", add), ("change", change)):
            if word != "nobody":
                yield _line([f"{verb} `{label}`", *_marks(word)])
        for action, word in actions(row):
            yield _line([f"`{label}` {action}", *_marks(word)])


def _people() -> Iterator[str]:
    yield "### What is done to people\n"
    for role, acts in on_people().items():
        yield f"What {'an' if role[0] in 'ao' else 'a'} {role} may do to whom:\n"
        yield from _head(["Act", *TARGETS])
        for act, words in acts.items():
            yield _line([f"`{act}`", *words.values()])
        yield ""
    for word, (_code, meaning) in RESULTS.items():
        yield f"- `{word}`: {meaning}"


def _conversations() -> Iterator[str]:
    yield "### What is done to conversations\n"
    yield "What moderators and administrators may do; `other_language` is for moderators of other languages.\n"
    yield from _head(["Act", "others' texts", "in other languages", "one's own text"])
    for act, *words in rows(ON_CONVERSATIONS):
        yield _line([f"`{act}`", *words])


def main() -> None:
    from tests.paths import ROOT

    path = ROOT / "docs" / "permissions.md"
    before, _, rest = path.read_text().partition("<!-- matrix -->\n")
    after = rest.partition("\n<!-- /matrix -->")[2]
    path.write_text(f"{before}<!-- matrix -->\n{table()}\n<!-- /matrix -->{after}")


if __name__ == "__main__":
    main()
