"""One self-contained HTML page about a fitted density."""

from .page import ReportInputs, build_report, write_report

__all__ = ["ReportInputs", "build_report", "write_report"]
