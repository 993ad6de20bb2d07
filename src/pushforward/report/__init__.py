"""One self-contained HTML page about a fitted density."""

from .page import ReportInputs, build_report, write_report
from .path_plot import Paths

__all__ = ["Paths", "ReportInputs", "build_report", "write_report"]
