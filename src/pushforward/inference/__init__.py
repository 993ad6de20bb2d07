"""What a trained model is asked: scores of rows, bits per dimension, latent codes and what can be done with them."""

from .latent import Codes, attribute, decode, draw, encode, interpolate, nearest, resample, shift
from .scores import Bits, bits_from, bits_per_dimension, can_average, log_likelihoods

__all__ = [
    "Bits",
    "Codes",
    "attribute",
    "bits_from",
    "bits_per_dimension",
    "can_average",
    "decode",
    "draw",
    "encode",
    "interpolate",
    "log_likelihoods",
    "nearest",
    "resample",
    "shift",
]
