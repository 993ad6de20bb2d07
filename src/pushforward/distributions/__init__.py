"""Bases, conditionals, elementary discrete distributions, and the boundary to `torch.distributions`."""

from . import pushforward
from .boundary import Conditioned, FromTorch
from .categorical import AutoregressiveCategorical
from .conditional import ConditionalBernoulli, ConditionalNormal
from .factorised import Logistic, Normal, StudentT, Uniform
from .integer import DiscretisedLogistic
from .mixture import GaussianMixture

__all__ = [
    "AutoregressiveCategorical",
    "ConditionalBernoulli",
    "ConditionalNormal",
    "Conditioned",
    "DiscretisedLogistic",
    "FromTorch",
    "GaussianMixture",
    "Logistic",
    "Normal",
    "StudentT",
    "Uniform",
    "pushforward",
]
