"""Base distributions, conditional distributions, elementary discrete distributions, and adapters for torch."""

from ..core.torch_boundary import Conditioned, FromTorch
from ..moved import old_names
from .categorical import AutoregressiveCategorical, Categorical
from .chance import Chance
from .conditional import ConditionalBernoulli, ConditionalCategorical, ConditionalLogistic, ConditionalNormal
from .factorised import Logistic, Normal, StudentT, Uniform
from .full_mixture import FullGaussianMixture
from .integer import DiscretisedLogistic
from .mixture import GaussianMixture
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
    "FullGaussianMixture",
    "GaussianMixture",
    "Logistic",
    "Normal",
    "StudentT",
    "Uniform",
    "UniformSphere",
    "UniformTorus",
]

__getattr__ = old_names("distributions")
