"""Bases, conditionals, elementary discrete distributions, and the boundary to `torch.distributions`."""

from . import pushforward
from .boundary import Conditioned, FromTorch
from .categorical import AutoregressiveCategorical, Categorical
from .conditional import ConditionalBernoulli, ConditionalCategorical, ConditionalLogistic, ConditionalNormal
from .factorised import Logistic, Normal, StudentT, Uniform
from .integer import DiscretisedLogistic
from .mixture import GaussianMixture
from .symbols import Chance
from .uniform import UniformSphere, UniformTorus

__all__ = [
    "AutoregressiveCategorical",
    "Categorical",
    "Chance",
    "ConditionalBernoulli",
    "ConditionalCategorical",
    "ConditionalLogistic",
    "ConditionalNormal",
    "Conditioned",
    "DiscretisedLogistic",
    "FromTorch",
    "GaussianMixture",
    "Logistic",
    "Normal",
    "StudentT",
    "Uniform",
    "UniformSphere",
    "UniformTorus",
    "pushforward",
]
