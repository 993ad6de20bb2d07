"""Layers of flows. `scalar` has the maps of one number; `elementwise`, `coupling` and `autoregressive` set their parameters."""

from .argmax_layer import ArgMax
from .autoregressive import Autoregressive
from .bent_maps import BentLine
from .block_autoregressive import BlockAutoregressive
from .bounded import Centre, Log, Logit, LogRatio, Probit, to_line
from .branches import AbsoluteValue, WinnerFold
from .cholesky import Cholesky, Correlation
from .circle import CircleMap, CircularSpline, MoebiusMixture, Projection
from .clip_layers import EachFrame, Innovations
from .competing import WinnerCoupling
from .continuous import Continuous
from .contractive import Residual
from .convolutions import EmergingConv, ExponentialConv, PeriodicConv
from .copula_layer import CopulaLayer
from .coupling import Coupling
from .cylinder import Cylinder
from .elementwise import Elementwise
from .exponential_map import ExponentialMap, QuadraticPotential, RadialPotential
from .free_form_layer import FreeForm
from .gaussianize import DataRotation, Gaussianize, LogisticScore, NormalScore, negentropy
from .hamiltonian import Annealed, Leapfrog, Metropolis, Refresh, Schedule, Temperature, Tempering, hamiltonian
from .householder import Sylvester
from .indexed import ContinuousIndex
from .injective import Injective
from .label_map import LabelMap
from .line_maps import Bernstein, IntegratedNetwork, LinearTails, SumOfSquares
from .linear import LU, Diagonal, Haar, Linear, Orthogonal, Permutation
from .local_maps import LocalMaps
from .masks import alternating_mask, checkerboard_mask, half_mask, random_mask, random_order, residue_mask
from .matrix_factors import QR, SVD, Woodbury
from .modular import Modular
from .monotone_operator import MonotoneOperator
from .neural_maps import DeepSigmoidal
from .normalise import ActNorm, BatchNorm, Standardise
from .observed import ObservedOutput
from .onehot import ToOneHot
from .peer_maps import SaturatingSpline, ScaleRule
from .per_coordinate import PerCoordinate
from .planar_layers import Planar, Radial
from .ranked_labels import RankedLabels
from .scalar import (
    Additive,
    Affine,
    ClampedAffine,
    Composed,
    GatedAffine,
    LineMap,
    LogisticMixture,
    RationalQuadratic,
    RoundedShift,
    Scalar,
    Sigmoidal,
)
from .shape import ChannelsFirst, Checkerboard, Reshape, Squeeze, Tokens
from .sigmoid_decoder import ExtendedLogit, SigmoidDecoder
from .sorting import Rounding, Sort, max_pool, maximum
from .spline_maps import PiecewiseSpline
from .stochastic import Augment, Dequantise, HalfLines, Stochastic
from .surjective import Slice, Surjection
from .tailed_marginals import Marginals, TailMap
from .torch_transforms import AsTorchTransform, FromTorchTransform
from .two_way import two_way
from .volume_preserving import SoftplusAffine, VolumePreservingCoupling, all_in_one
from .winner_gate import WinnerGate
from .winner_path import WinnerPath
from .wiring import LayerGraph, Wired
from .zigzag import Zigzag

__all__ = [
    "EmergingConv",
    "ExponentialConv",
    "LabelMap",
    "PeriodicConv",
    "BlockAutoregressive",
    "QR",
    "RankedLabels",
    "SVD",
    "Woodbury",
    "SoftplusAffine",
    "VolumePreservingCoupling",
    "all_in_one",
    "AbsoluteValue",
    "ActNorm",
    "Additive",
    "Affine",
    "Annealed",
    "AsTorchTransform",
    "Augment",
    "ArgMax",
    "Autoregressive",
    "BatchNorm",
    "BentLine",
    "Bernstein",
    "Centre",
    "ChannelsFirst",
    "Checkerboard",
    "Cholesky",
    "CircleMap",
    "CircularSpline",
    "ClampedAffine",
    "Composed",
    "Correlation",
    "LogisticScore",
    "Continuous",
    "ContinuousIndex",
    "CopulaLayer",
    "Coupling",
    "Cylinder",
    "DataRotation",
    "DeepSigmoidal",
    "Dequantise",
    "Diagonal",
    "EachFrame",
    "Elementwise",
    "ExponentialMap",
    "FreeForm",
    "FromTorchTransform",
    "GatedAffine",
    "Gaussianize",
    "Haar",
    "HalfLines",
    "Injective",
    "Innovations",
    "IntegratedNetwork",
    "LU",
    "LayerGraph",
    "Leapfrog",
    "LineMap",
    "Linear",
    "LinearTails",
    "LocalMaps",
    "Log",
    "LogRatio",
    "LogisticMixture",
    "Logit",
    "Marginals",
    "Metropolis",
    "Modular",
    "MoebiusMixture",
    "MonotoneOperator",
    "NormalScore",
    "ObservedOutput",
    "Orthogonal",
    "PerCoordinate",
    "Permutation",
    "Probit",
    "PiecewiseSpline",
    "Planar",
    "QuadraticPotential",
    "Projection",
    "Radial",
    "RadialPotential",
    "RationalQuadratic",
    "Refresh",
    "Reshape",
    "Residual",
    "RoundedShift",
    "Rounding",
    "ExtendedLogit",
    "Scalar",
    "SaturatingSpline",
    "ScaleRule",
    "SigmoidDecoder",
    "Schedule",
    "Sigmoidal",
    "Slice",
    "Sort",
    "Squeeze",
    "Standardise",
    "Stochastic",
    "SumOfSquares",
    "Surjection",
    "Sylvester",
    "TailMap",
    "Temperature",
    "Tempering",
    "ToOneHot",
    "Tokens",
    "WinnerCoupling",
    "WinnerFold",
    "WinnerGate",
    "WinnerPath",
    "Wired",
    "Zigzag",
    "alternating_mask",
    "checkerboard_mask",
    "half_mask",
    "hamiltonian",
    "max_pool",
    "maximum",
    "negentropy",
    "random_mask",
    "random_order",
    "residue_mask",
    "to_line",
    "two_way",
]
