"""What moderators, administrators, operators and trusted programs do to accounts, as the audit log names it."""

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register

BAN = register("account.ban", _("suspended a person"))
UNBAN = register("account.unban", _("lifted the suspension of a person"))
PROPOSE_BAN = register("account.propose_ban", _("proposed to suspend an administrator"))
PROPOSE_UNBAN = register("account.propose_unban", _("proposed to lift the suspension of an administrator"))
WITHDRAW_PROPOSAL = register("account.withdraw_proposal", _("withdrew a proposal about an administrator"))
REFUSE_PROPOSAL = register("account.refuse_proposal", _("refused a proposal about an administrator"))
CHANGE = register("account.change", _("changed the account of a person"))
CREATE = register("account.create", _("made an account"))
CLOSE = register("account.close", _("closed the account of a person"))
END_SESSIONS = register("account.end_sessions", _("signed a person out of all programs"))
SIGN_IN_LINK = register("account.sign_in_link", _("made a link that signs a person in"))
REMOVE_SECOND_FACTOR = register("account.remove_second_factor", _("removed the second factor of a person"))
REFUSE_APPEAL = register("appeal.refuse", _("refused an appeal"))
GRANT_APPEAL = register("appeal.grant", _("granted an appeal against a decision"))
WARN = register("account.warn", _("warned a person"))
WITHDRAW_WARNING = register("account.withdraw_warning", _("took back a warning"))
CREATE_CLIENT = register("api_client.create", _("made an API client"))
CHANGE_CLIENT = register("api_client.change", _("changed an API client"))
TRUST_CLIENT = register("api_client.trust", _("changed whether an API client is trusted"))
SWITCH_CLIENT = register("api_client.switch", _("switched an API client on or off"))
CREATE_KEY = register("api_key.create", _("made a key of an API client"))
ROTATE_KEYS = register("api_key.rotate", _("rotated the keys of an API client"))
END_KEY = register("api_key.end", _("set the end of a key"))
CHANGE_SETTINGS = register("settings.change", _("changed the settings of the site"))
