"""Jobs that are enqueued after a commit or by the clock, and use several apps."""

from oasst.site.bulk.running import go_on_with_bulk_act
from oasst.site.forgetting import forget_words_of
from oasst.site.notices.digests import mail_digest
from oasst.site.notices.exports import tell_of_snapshot
from oasst.site.notices.jobs import (
    begin_digests,
    forget_old_notices,
    forget_person,
    tell_levels,
    tell_of_appeal,
    tell_of_warning,
    write_notices,
)
from oasst.site.purging import go_on_with_purge

__all__ = [
    "begin_digests",
    "forget_old_notices",
    "forget_person",
    "forget_words_of",
    "go_on_with_bulk_act",
    "go_on_with_purge",
    "mail_digest",
    "tell_levels",
    "tell_of_appeal",
    "tell_of_snapshot",
    "tell_of_warning",
    "write_notices",
]
