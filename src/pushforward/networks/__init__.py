"""Plain networks: they map tensors to tensors and know nothing of flows."""

from .made import MADE
from .mlp import MLP, Constant, activation

__all__ = ["MADE", "MLP", "Constant", "activation"]
