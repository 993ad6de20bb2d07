"""What a trained model is asked (scores, bits per dimension, latent codes), and flows as posteriors: `fit`."""

from .latent import Codes, attribute, decode, draw, encode, interpolate, nearest, resample, shift
from .scores import Bits, bits_from, bits_per_dimension, can_average, log_likelihoods
from .variational import Fit, fit

__all__ = [
    "Bits",
    "Codes",
    "Fit",
    "attribute",
    "bits_from",
    "bits_per_dimension",
    "can_average",
    "decode",
    "draw",
    "encode",
    "fit",
    "interpolate",
    "log_likelihoods",
    "nearest",
    "resample",
    "shift",
]
