"""Plain networks: they map tensors to tensors and know nothing of flows."""

from ..recording import Recorded
from .attention import GatedAttention
from .causal import CausalNetwork
from .conditioner import Conditioner, OptionalContext, as_conditioner, make_conditioner
from .conv import Condition, ConvNet, DenseNet, ResNet
from .labels import AutoregressiveTable, LabelMLP, LabelSequence, LabelTable, LabelTransformer
from .lipschitz import LipschitzConvNet, LipschitzMLP
from .made import MADE
from .mlp import MLP, Activation, Constant, Parameters, activation, head
from .potential import Potential
from .precision import Network, lower_precision
from .recurrent import BidirectionalLSTM, CausalLSTM
from .transformer import Cache, CausalTransformer, ViT
from .velocity import Velocity, VelocityMLP

__all__ = [
    "LipschitzConvNet",
    "LipschitzMLP",
    "MADE",
    "MLP",
    "Activation",
    "AutoregressiveTable",
    "BidirectionalLSTM",
    "Cache",
    "CausalLSTM",
    "CausalNetwork",
    "CausalTransformer",
    "Condition",
    "Conditioner",
    "Constant",
    "DenseNet",
    "ConvNet",
    "GatedAttention",
    "LabelMLP",
    "LabelSequence",
    "LabelTable",
    "LabelTransformer",
    "Network",
    "OptionalContext",
    "Parameters",
    "Potential",
    "Recorded",
    "ResNet",
    "Velocity",
    "VelocityMLP",
    "ViT",
    "activation",
    "as_conditioner",
    "head",
    "lower_precision",
    "make_conditioner",
]
