"""Plain networks: they map tensors to tensors and know nothing of flows."""

from .conv import ConvNet
from .made import MADE
from .mlp import MLP, Constant, activation
from .precision import Network, lower_precision

__all__ = ["MADE", "MLP", "Constant", "ConvNet", "Network", "activation", "lower_precision"]
