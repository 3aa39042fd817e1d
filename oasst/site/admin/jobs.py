"""Admin pages of jobs: when they run, how they went, and what waits."""

from typing import Any

from celery.schedules import ParseException, crontab
from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from unfold.widgets import UnfoldAdminTextInputWidget

from oasst.accounts.groups import OPERATE
from oasst.core.audit.recording import record
from oasst.core.form_fields import LineField
from oasst.core.models import JobRecord, WaitingJob
from oasst.core.read_only_admin import ReadOnlyAdmin, badge
from oasst.site import acts


class ScheduleForm(forms.ModelForm):
    """The form of a periodic task: its times in the five parts of cron, and whether it is enabled."""

    times = forms.CharField(
        label="When",
        widget=UnfoldAdminTextInputWidget,
        help_text="Minute, hour, day of month, month, day of week, in UTC. “*/10 * * * *” is every ten minutes.",
    )

    reason = LineField(label=_("Reason"), widget=UnfoldAdminTextInputWidget, limit=500)

    class Meta:
        model = PeriodicTask
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if at := self.instance.crontab:
            parts = (at.minute, at.hour, at.day_of_month, at.month_of_year, at.day_of_week)
            self.fields["times"].initial = " ".join(parts)

    def clean_times(self) -> crontab:
        parts = self.cleaned_data["times"].split()
        try:
            minute, hour, day, month, weekday = parts
            return crontab(minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday)
        except (ValueError, ParseException) as error:
            raise forms.ValidationError("Please give five parts as cron has them, such as 20 3 * * *.") from error

    def save(self, commit: bool = True) -> Any:
        at = CrontabSchedule.from_schedule(self.cleaned_data["times"])
        if at.pk is None:
            at.save()
        self.instance.crontab = at
        return super().save(commit)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin):
    """Administrators change when a job runs and switch it off; oasst.site.beat_schedule lists the jobs."""

    form = ScheduleForm
    list_display = ("name", "when", "enabled", "last_run_at", "ended_at", "took", "outcome")
    list_filter = ("enabled",)
    list_select_related = ("crontab", "interval", "solar", "clocked")
    ordering = ("name",)
    fields = ("name", "task", "times", "enabled", "reason", "last_run_at", "total_run_count", "description")
    list_per_page = 100  # all on one page
    readonly_fields = ("name", "task", "last_run_at", "total_run_count", "description")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(OPERATE))

    def save_model(self, request: Any, obj: PeriodicTask, form: Any, change: bool) -> None:
        before = PeriodicTask.objects.select_related("crontab").get(pk=obj.pk)
        was = {"enabled": before.enabled, "when": str(before.crontab)}
        super().save_model(request, obj, form, change)
        became = {"enabled": obj.enabled, "when": str(obj.crontab)}
        if was != became:
            record(
                acts.CHANGE_SCHEDULE,
                obj,
                actor=request.user,
                reason=form.cleaned_data["reason"],
                before={"schedule": {str(obj.pk): was}},
                after={"schedule": {str(obj.pk): became}},
            )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodicTask]:
        runs = JobRecord.objects.filter(job=OuterRef("task"))
        columns = {f"run_{name}": runs.values(name) for name in ("ended_at", "seconds", "result", "failures")}
        return super().get_queryset(request).annotate(**{name: Subquery(column) for name, column in columns.items()})

    @admin.display(description="When")
    def when(self, task: PeriodicTask) -> str:
        return str(task.crontab.human_readable if task.crontab else task.scheduler)

    @admin.display(description="Last ended")
    def ended_at(self, task: Any) -> Any:
        return task.run_ended_at

    @admin.display(description="Took")
    def took(self, task: Any) -> str | None:
        return None if task.run_seconds is None else f"{task.run_seconds:.2f} s"

    @admin.display(description="Result")
    def outcome(self, task: Any) -> SafeString | None:
        if task.run_result is None:
            return None
        failed = task.run_result in ("failure", "retry")
        return badge(task.run_result, "danger" if failed else "success")


@admin.register(JobRecord)
class JobRecordAdmin(ReadOnlyAdmin):
    """The last run of every job, including those enqueued after a commit."""

    list_display = ("job", "ended_at", "seconds", "result", "runs", "failures", "failed_at")
    search_fields = ("job", "last_error")
    ordering = ("job",)
    fields = ("job", "ended_at", "seconds", "result", "runs", "failures", "succeeded_at", "failed_at", "last_error")


@admin.register(WaitingJob)
class WaitingJobAdmin(ReadOnlyAdmin):
    list_display = ("job", "args", "created_at", "due_at", "attempts")
    list_filter = ("job",)
    ordering = ("created_at",)
    fields = ("job", "args", "created_at", "due_at", "attempts")
