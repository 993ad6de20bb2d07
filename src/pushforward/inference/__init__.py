"""What a trained model is asked (scores, bits per dimension, latent codes), and flows as posteriors: `fit`."""

from .latent import Codes, attribute, decode, draw, encode, interpolate, nearest, resample, shift
from .scores import Bits, bits_from, bits_per_dimension, can_average, log_likelihoods
from .simulators import Amortised, amortised
from .variational import Fit, fit
from .weights import Importance, importance

__all__ = [
    "Amortised",
    "Bits",
    "Codes",
    "Fit",
    "Importance",
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
