"""Base distributions, conditional distributions, elementary discrete distributions, and adapters for torch."""

from ..core.torch_boundary import Conditioned, FromTorch
from ..moved import old_names
from .autoregressive_model import AutoregressiveModel
from .categorical import AutoregressiveCategorical, Categorical
from .chance import Chance
from .choice import Choice, RandomOrder
from .class_gaussians import ClassGaussians
from .conditional import ConditionalBernoulli, ConditionalCategorical, ConditionalLogistic, ConditionalNormal
from .directional import VonMises, VonMisesFisher, VonMisesFisherMixture
from .factorised import Logistic, LogitBeta, Normal, StudentT, Uniform
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
from .knowledge import Knowledge
from .learned_cdf import FreeCDF, LearnedCDF, ProductCDF
from .mixture import GaussianMixture
from .mixture_of import MixtureOf
from .order_average import OrderAverage
from .orderless import Orderless
from .resampled import ResampledNormal
from .row_coding import Entries, LabelCoding, RowCoding, VectorCoding
from .side_by_side import SideBySide
from .uniform import UniformSphere, UniformTorus
from .vine_copula import VineCopula
from .winner_kernel import WinnerKernel

__all__ = [
    "AutoregressiveCategorical",
    "AutoregressiveModel",
    "BernoulliFactor",
    "Categorical",
    "CategoricalFactor",
    "Chance",
    "ClassGaussians",
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
    "FreeCDF",
    "FromTorch",
    "FullGaussianMixture",
    "GaussianMixture",
    "LabelCoding",
    "Knowledge",
    "LearnedCDF",
    "Logistic",
    "LogisticLevelsFactor",
    "LogitBeta",
    "MixtureFactor",
    "MixtureOf",
    "Normal",
    "OrderAverage",
    "Orderless",
    "ProductCDF",
    "ResampledNormal",
    "RowCoding",
    "SideBySide",
    "StudentT",
    "Uniform",
    "UniformSphere",
    "UniformTorus",
    "VectorCoding",
    "VineCopula",
    "VonMises",
    "VonMisesFisher",
    "VonMisesFisherMixture",
    "label_factor",
]

__getattr__ = old_names("distributions")
