"""Posteriors: flows fitted to unnormalised densities, with verdicts on the fit, and flows for simulators."""

from .approximation import Fit
from .importance_weights import Importance, importance
from .simulators import Amortised, amortised
from .summary_table import Summary
from .variational import fit

__all__ = ["Amortised", "Fit", "Importance", "Summary", "amortised", "fit", "importance"]
