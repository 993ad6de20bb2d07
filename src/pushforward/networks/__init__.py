"""Plain networks: they map tensors to tensors and know nothing of flows."""

from .attention import GatedAttention
from .conv import Condition, ConvNet, ResNet
from .made import MADE
from .mlp import MLP, Constant, activation
from .precision import Network, lower_precision
from .transformer import Cache, CausalTransformer, ViT

__all__ = [
    "MADE",
    "MLP",
    "Cache",
    "CausalTransformer",
    "Condition",
    "Constant",
    "ConvNet",
    "GatedAttention",
    "Network",
    "ResNet",
    "ViT",
    "activation",
    "lower_precision",
]
