"""Snapshots of the data set: what was published, under which name."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_plain_text
from trees.models import Snapshot

TONES = {Snapshot.State.FROZEN: "success", Snapshot.State.RETRACTED: "danger"}


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("name", "status", "trees", "messages", "cutoff", "published_at", "created_at")
    list_filter = ("state",)
    search_fields = ("name",)
    ordering = ("-id",)
    fields = (
        *(
            "name",
            "status",
            "published_at",
            ("retracted_at", "retract_reason"),
            "cutoff",
            "options",
            "contents",
            "bases",
            "left_out",
        ),
        *("source_sha256", "written_with", "file_digests", "format_version", ("created_by", "created_at")),
    )
    readonly_fields = ("status", "options", "contents", "bases", "left_out", "written_with", "file_digests")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        rows = super().get_queryset(request).select_related("created_by").defer("withdrawn", "card")
        is_list = request.resolver_match is not None and request.resolver_match.url_name == "trees_snapshot_changelist"
        return rows.defer("withdrawn", "card", "manifest") if is_list else rows

    @admin.display(description=_("State"))
    def status(self, snapshot: Snapshot) -> SafeString:
        return badge(snapshot.get_state_display(), TONES[Snapshot.State(snapshot.state)])

    @admin.display(description=_("Trees"))
    def trees(self, snapshot: Snapshot) -> int:
        return self._count(snapshot, "trees")

    @admin.display(description=_("Messages"))
    def messages(self, snapshot: Snapshot) -> int:
        return self._count(snapshot, "messages")

    @admin.display(description=_("Options"))
    def options(self, snapshot: Snapshot) -> SafeString:
        return _lines({name: json.dumps(value) for name, value in snapshot.filters.items()})

    @admin.display(description=_("Contents"))
    def contents(self, snapshot: Snapshot) -> SafeString:
        return _lines(snapshot.counts.get("has", {}))

    @admin.display(description=_("Why its messages may be published"))
    def bases(self, snapshot: Snapshot) -> SafeString:
        return _lines(snapshot.counts.get("bases", {}))

    @admin.display(description=_("Left out"))
    def left_out(self, snapshot: Snapshot) -> SafeString:
        reasons = snapshot.counts.get("left_out", {})
        return _lines({f"{kind}, {why}": number for kind in reasons for why, number in reasons[kind].items()})

    @admin.display(description=_("First written with"))
    def written_with(self, snapshot: Snapshot) -> SafeString:
        return _lines(snapshot.libraries)

    @admin.display(description=_("SHA-256 of its files"))
    def file_digests(self, snapshot: Snapshot) -> SafeString:
        return _lines({path: facts["sha256"] for path, facts in snapshot.files.items()})

    def _count(self, snapshot: Snapshot, kind: str) -> int:
        number: int = snapshot.counts.get("has", {}).get(kind, 0)
        return number


def _lines(facts: dict[str, Any]) -> SafeString:
    return render_plain_text("\n".join(f"{name}: {value}" for name, value in facts.items()))
