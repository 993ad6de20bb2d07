"""What a trained model is asked (scores, bits per dimension, latent codes), and flows as posteriors: `fit`."""

from .latent import Codes, attribute, decode, draw, encode, interpolate, nearest, resample, shift
from .result import Fit
from .scores import Bits, bits_from, bits_per_dimension, can_average, log_likelihoods
from .simulators import Amortised, amortised
from .summary import Summary
from .variational import fit
from .weights import Importance, importance

__all__ = [
    "Amortised",
    "Bits",
    "Codes",
    "Fit",
    "Importance",
    "Summary",
    "amortised",
    "attribute",
    "bits_from",
    "bits_per_dimension",
    "can_average",
    "decode",
    "draw",
    "encode",
    "fit",
    "importance",
    "interpolate",
    "log_likelihoods",
    "nearest",
    "resample",
    "shift",
]
