"""The terms and the privacy notice, with a version that each `Consent` names.

A change of meaning needs a new version, and everybody is asked again; fixing a typo does not.
Reasons: docs/decisions/0010-contributions-are-published-under-cc-by-4.md.
"""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class Document:
    title: str
    version: str
    summary: tuple[str, ...]
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    news: str = ""
    """What changed in this version, for users who agreed to the previous one."""


TERMS = Document(
    title="Terms of use",
    version="2",
    news="You can withdraw a text of yours by yourself, also while you do not agree to these terms.",
    summary=(
        "What you write here is published, free for everybody to use, under the license CC BY 4.0.",
        "Write only what is yours to give, and nothing private about anybody.",
        "You can withdraw a text of yours. Copies that were published before cannot be called back. Your name never "
        "stands beside your texts.",
        "Be decent. Moderators may remove texts and suspend accounts, and they give a reason.",
    ),
    sections=(
        (
            "What this site is for",
            (
                "Volunteers write conversations here, and review and rank each other’s texts. The accepted "
                "conversations become a public data set, from which assistants are trained by us and by others.",
                "Taking part is free, unpaid, and ends whenever you like.",
            ),
        ),
        (
            "What happens to your texts",
            (
                "You keep the rights in what you write. By sending it you license it to everybody under the "
                "Creative Commons license Attribution 4.0 International (CC BY 4.0): anybody may copy, change and "
                "use it, also commercially, also to train software, as long as the project is named as the source.",
                "You agree that “the contributors of this project” is enough of a credit. We publish no names "
                "of contributors with the data.",
                "Your reviews, labels and rankings are published as counts, averages and orders, and in research "
                "files without your name, under the same license.",
                "A text that you sent can be removed by a moderator, and you can withdraw it yourself, as the next "
                "section says.",
            ),
        ),
        (
            "If you want a text back",
            (
                "Under “My contributions” you can withdraw any text of yours, also while you do not agree to these "
                "terms. While it is not in the data set: if nobody else has replied to it, it is removed at once and "
                "for good. If others have, it is hidden from everybody but the moderators at once, and a moderator "
                "decides whether it is deleted together with the replies, or stays. You are told which, and why. If it "
                "stays, you can withdraw it again only once it is in the data set, or nobody’s reply is left below it.",
                "A text that is in the data set is left out of each snapshot from the next one on, together with what "
                "was written below it. Copies that were published before cannot be called back.",
                "Moderators, and programs that we trust with moderation, can still read what was withdrawn, so that "
                "they can answer for what happened here.",
                "Deleting your account withdraws nothing: your texts stay, without your name. Withdraw first what is "
                "not to stay. While your account is suspended you cannot withdraw texts by yourself; write to us.",
            ),
        ),
        (
            "What you may send",
            (
                "Send texts that you wrote yourself, or that are free for everybody to use. Do not copy from books, "
                "web sites, or other assistants whose terms forbid it.",
                "Do not send private details of anybody, yourself included: names with addresses, telephone numbers, "
                "health, passwords, keys.",
                "Do not send what is illegal, what sexualizes minors, or what is meant to hurt somebody. "
                "Difficult subjects are welcome where they teach an assistant to answer well.",
                "Do not let a program contribute in your place unless we agreed to it.",
            ),
        ),
        (
            "Moderation",
            (
                "Moderators may hide or remove texts and suspend accounts that break these rules. A suspended person "
                "sees the reason and whom to write to. A person answers, not a program.",
            ),
        ),
        (
            "The assistant",
            (
                "The assistant on this site makes mistakes and makes things up. Do not rely on it for advice on "
                "health, law, money or safety. Chats are private to you unless you share or donate them.",
            ),
        ),
        (
            "The small print",
            (
                "The site comes as it is, without warranty. It may change, pause or end. As far as the law allows, "
                "the people who run it are not liable for damage that arises from using it.",
                "You need to be at least 16 years old, or have the consent of your parents.",
                "When these terms change in meaning, you are asked again before you go on. What you gave under "
                "earlier terms stays under those.",
            ),
        ),
    ),
)

PRIVACY = Document(
    title="Privacy notice",
    version="4",
    summary=(
        "We keep your e-mail address to let you in, and your contributions to build the data set.",
        "Published data carries no names, no addresses and no account numbers.",
        "There are no advertisements, no trackers and nothing loaded from other sites.",
        "You can change or delete your account on your profile page, at once and by yourself.",
    ),
    sections=(
        (
            "What we store",
            (
                "About you: your e-mail address, the display name you choose, your time zone and languages, when you "
                "agreed to which terms, and a password if you set one (only as a hash).",
                "If you sign in through another service (Google, Discord, GitHub): the number of your account there "
                "and the e-mail address that it tells us.",
                "What you do: your texts, reviews, rankings, reactions and reports with their times, and your chats.",
                "Of a suspended account: a keyed hash of each address and each linked account, which nobody can read "
                "back. It stays when the account is deleted, so that a suspension cannot be shaken off by signing up "
                "again, and goes when the suspension is lifted.",
                "For running the site: server logs with the address of your device for a short time, and counters "
                "that keep people from asking too often.",
            ),
        ),
        (
            "What becomes public",
            (
                "Accepted conversations are published without names. Your display name is seen on the leaderboard "
                "while you allow that. Your e-mail address is seen by administrators only.",
                "Please write nothing private into a contribution. You can withdraw it, and later snapshots leave it "
                "out, but copies that were published before cannot be called back.",
            ),
        ),
        (
            "Cookies",
            (
                "One cookie keeps you signed in, one protects forms against misuse, and one remembers for a year that "
                "you signed in with this browser before, so that strangers who try passwords for your account do not "
                "shut you out. If you try a practice review before you sign in, one more holds for a week what you "
                "answered, so that it can be credited to you. There is nothing else, so there is no banner.",
            ),
        ),
        (
            "Who else sees your data",
            (
                "Nobody. We do not sell or lend it. Pictures that people put into texts are not loaded from "
                "elsewhere, so other sites do not learn that you read them.",
            ),
        ),
        (
            "What you can ask for",
            (
                "You can correct your profile at any time. When you delete your account, your address, your name, "
                "your keys and your sign-in data are erased at once (of a suspended account the keyed hashes named "
                "above stay); your contributions stay without your name. Withdraw first, under “My contributions”, "
                "the texts that are not to stay; moderators can still read them. "
                "You can also ask what is stored about you, and complain to your data protection authority.",
            ),
        ),
    ),
)


PUBLISHING_TERMS = frozenset({"1", "2"})
"""The versions of the terms that license contributions for publication, under CC BY 4.0."""


def contact_address() -> str:
    """Return the email address of the operator, or ""."""
    return settings.CONTACT_EMAIL
