"""What a run leaves: `result.json`, `assignments.csv` and `report.html`."""

from idc_jax.report.answers import count_questions
from idc_jax.report.files import RESULT_KEYS, write_assignments, write_atomically, write_result
from idc_jax.report.page import write_report
from idc_jax.report.rendering import render
from idc_jax.report.view import ReportOptions

__all__ = [
    "RESULT_KEYS",
    "ReportOptions",
    "count_questions",
    "render",
    "write_assignments",
    "write_atomically",
    "write_report",
    "write_result",
]
