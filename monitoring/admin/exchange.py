"""Rules in and out by the admin: a file is shown as what it would change, then applied as a whole.

The pages are django-import-export's. A host that leaves `import_export` out of INSTALLED_APPS has
none of them, and the management command still works.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.signing import BadSignature, Signer
from django.db import router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from django.views.decorators.http import require_POST
from import_export.admin import ImportExportMixin
from import_export.forms import ConfirmImportForm, ExportForm, ImportForm

from monitoring.admin.base import has_file_pages, log, url
from monitoring.admin.context_access import ContextRefusedError, User, require
from monitoring.admin.display import in_words
from monitoring.admin.rule_form import RuleForm
from monitoring.admin.warnings import warnings
from monitoring.core.values import ContextFilter
from monitoring.exchange.resources import (
    RuleExport,
    RuleResource,
    RuleResult,
    changed_fields,
    written_rules,
)
from monitoring.exchange.rows import MAX_BYTES, FileError
from monitoring.exchange.tables import RuleFormat
from monitoring.models import MonitorRule


class _RefusedError(Exception):
    """What was right in the preview is so no more."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class UploadForm(ImportForm):  # type: ignore[misc]
    def clean_import_file(self) -> UploadedFile[Any]:
        file: UploadedFile[Any] = self.cleaned_data["import_file"]
        if file.size is None or file.size > MAX_BYTES:
            raise ValidationError(_("The file is larger than 5 MB: split it."), code="too_large")
        return file


class ConfirmForm(ConfirmImportForm):  # type: ignore[misc]
    """Names the uploaded file that was previewed, and no other file of the server."""

    format = forms.ChoiceField(choices=[("0", "JSON")], widget=forms.HiddenInput())

    def __init__(self, *args: Any, signer: Signer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.signer = signer

    def clean_import_file_name(self) -> str:
        try:
            self.cleaned_data["import_file_name"] = self.signer.unsign(
                self.cleaned_data["import_file_name"]
            )
        except BadSignature:
            raise ValidationError(_("Upload the file again."), code="not_signed") from None
        return str(super().clean_import_file_name())


class RuleExchangeMixin(ImportExportMixin):  # type: ignore[misc]
    """Import and export of rules for their admin page."""

    model: type[MonitorRule]

    resource_classes = [RuleResource]
    import_formats = [RuleFormat]
    export_formats = [RuleFormat]
    import_form_class = UploadForm
    confirm_form_class = ConfirmForm
    # A rule without some of its fields is no use to anybody.
    export_form_class = ExportForm
    import_template_name = "admin/monitoring/rule_import.html"
    skip_admin_log = False

    @property
    def import_export_change_list_template(self) -> str | None:
        return "admin/import_export/change_list_import_export.html" if has_file_pages() else None

    @admin.action(permissions=["export"], description=_("Export selected rules"))
    def export_selected(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> HttpResponse:
        """Write the picked rules as a file that can be imported again."""
        text = RuleFormat().export_data(RuleExport().export(queryset))
        headers = {"Content-Disposition": 'attachment; filename="rules.json"'}
        return HttpResponse(text, content_type="application/json", headers=headers)

    def has_import_permission(self, request: HttpRequest) -> bool:
        return (
            has_file_pages()
            and bool(self.has_add_permission(request))
            and bool(self.has_change_permission(request))
        )

    def has_export_permission(self, request: HttpRequest) -> bool:
        return has_file_pages() and bool(self.has_view_permission(request))

    def is_skip_import_confirm_enabled(self) -> bool:
        return False  # whatever the host's other pages do: nothing changes unseen

    def get_export_resource_classes(self, request: HttpRequest) -> list[type[RuleResource]]:
        return [RuleExport]

    def get_import_resource_kwargs(self, request: HttpRequest, **_: Any) -> dict[str, Any]:
        return {"check_context": partial(check_context, user=request.user)}

    def get_export_resource_kwargs(self, request: HttpRequest, **_: Any) -> dict[str, Any]:
        return {}

    def get_resource_index(self, form: forms.Form | None) -> int:
        return 0  # there is one; the confirming form would pass on any number

    def add_data_read_fail_error_to_form(self, form: forms.Form, error: Exception) -> None:
        if not isinstance(error, FileError):
            raise error
        for problem in error.problems:
            form.add_error("import_file", problem)

    def get_confirm_form_kwargs(
        self, request: HttpRequest, import_form: forms.Form | None = None
    ) -> dict[str, Any]:
        signer = Signer(salt=f"monitoring.admin.exchange:{request.user.pk}")
        kwargs: dict[str, Any] = super().get_confirm_form_kwargs(request, import_form)
        initial = kwargs["initial"]
        if "import_file_name" in initial:
            initial["import_file_name"] = signer.sign(initial["import_file_name"])
        return kwargs | {"signer": signer}

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show what a file would change, or everything that is wrong with it."""
        response: Any = super().import_action(request, **kwargs)
        if "confirm_form" not in response.context_data:
            self._forget_upload(request)
        else:
            rules = written_rules(response.context_data["result"])
            response.context_data["odd"] = warnings(request, rules)
        return response  # type: ignore[no-any-return]

    def _forget_upload(self, request: HttpRequest) -> None:
        """Remove the server's copy of a file that will not be confirmed."""
        name = getattr(request.FILES.get("import_file"), "tmp_storage_name", None)
        if name:
            storage = self.get_tmp_storage_class()(name=name, **self.get_tmp_storage_class_kwargs())
            storage.remove()

    @method_decorator(require_POST)
    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Apply a file that was previewed, with its log entries, or nothing."""
        try:
            with transaction.atomic(using=router.db_for_write(MonitorRule)):
                response: HttpResponse = super().process_import(request, **kwargs)
                return response
        except (_RefusedError, FileError) as refusal:
            problems = list(refusal.problems)
        except OSError:
            problems = [str(_("The uploaded file is gone. Upload it again."))]
        for problem in problems:
            messages.error(request, problem)
        return HttpResponseRedirect(url(self.admin_site, MonitorRule, "import"))

    def process_result(self, result: RuleResult, request: HttpRequest) -> HttpResponse:
        problems = result.problems()
        if problems:
            raise _RefusedError(problems)
        response: HttpResponse = super().process_result(result, request)
        return response

    def generate_log_entries(self, result: RuleResult, request: HttpRequest) -> None:
        """Write one entry for each rule that was added or changed; the latter says which fields."""
        for row in result:
            if row.is_new():
                log(request, [row.instance], ADDITION, [{"added": {}}])
            elif row.is_update():
                with override(None):  # entries are translated when they are read
                    labels = [str(RuleForm.base_fields[name].label) for name in changed_fields(row)]
                log(request, [row.instance], CHANGE, [{"changed": {"fields": labels}}])


def check_context(context: ContextFilter, user: User) -> None:
    """Raise ValidationError for a context that the user may not give to a rule."""
    try:
        require(context, user)
    except ContextRefusedError as refusal:
        raise ValidationError({refusal.field: in_words(refusal.text)}) from None
