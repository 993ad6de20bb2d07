"""Posteriors: flows fitted to unnormalised densities, with a verdict on each fit, and flows for simulators."""

from .approximation import Fit
from .importance_weights import Importance, importance
from .simulators import Amortised, amortised
from .summary_table import Summary
from .variational import fit
from .variational_config import VariationalConfig

__all__ = ["Amortised", "Fit", "Importance", "Summary", "VariationalConfig", "amortised", "fit", "importance"]
