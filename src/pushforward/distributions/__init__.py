"""Base distributions, conditional distributions, elementary discrete distributions, and adapters for torch."""

from ..core.torch_boundary import Conditioned, FromTorch
from ..moved import old_names
from .autoregressive_model import AutoregressiveModel
from .categorical import AutoregressiveCategorical, Categorical
from .chance import Chance
from .choice import Choice, RandomOrder
from .conditional import ConditionalBernoulli, ConditionalCategorical, ConditionalLogistic, ConditionalNormal
from .factorised import Logistic, Normal, StudentT, Uniform
from .factors import (
    BernoulliFactor,
    CategoricalFactor,
    Factor,
    LogisticLevelsFactor,
    MixtureFactor,
    label_factor,
)
from .full_mixture import FullGaussianMixture
from .integer import DiscretisedLogistic
from .mixture import GaussianMixture
from .order_average import OrderAverage
from .orderless import Orderless
from .row_coding import Entries, LabelCoding, RowCoding, VectorCoding
from .uniform import UniformSphere, UniformTorus
from .winner_kernel import WinnerKernel

__all__ = [
    "AutoregressiveCategorical",
    "AutoregressiveModel",
    "BernoulliFactor",
    "Categorical",
    "CategoricalFactor",
    "Chance",
    "Choice",
    "RandomOrder",
    "WinnerKernel",
    "ConditionalBernoulli",
    "ConditionalCategorical",
    "ConditionalLogistic",
    "ConditionalNormal",
    "Conditioned",
    "DiscretisedLogistic",
    "Entries",
    "Factor",
    "FromTorch",
    "FullGaussianMixture",
    "GaussianMixture",
    "LabelCoding",
    "Logistic",
    "LogisticLevelsFactor",
    "MixtureFactor",
    "Normal",
    "OrderAverage",
    "Orderless",
    "RowCoding",
    "StudentT",
    "Uniform",
    "UniformSphere",
    "UniformTorus",
    "VectorCoding",
    "label_factor",
]

__getattr__ = old_names("distributions")
