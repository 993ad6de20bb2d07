"""Neural networks: maps from tensors to tensors that are independent of flows."""

from ..moved import old_names
from ..recording import Recorded
from .angles import CosineSine, angle_code
from .attention import GatedAttention
from .clip_network import ClipNet
from .conditioner import Conditioner, OptionalContext, as_conditioner, make_conditioner
from .conv import Condition, ConvNet, DenseNet, ResNet
from .entry_heads import EntryHeads, HiddenLayers
from .graph_mlp import GraphMLP, grouped_parents, longest_chain
from .label_networks import AutoregressiveTable, LabelMLP, LabelSequence, LabelTable, LabelTransformer, OneHotCode
from .learned_graph import LearnedGraph
from .lipschitz import LipschitzConvNet, LipschitzMLP
from .lipschitz_dense import LipschitzDenseNet
from .mask_ensemble import MaskEnsemble
from .masked import MaskedMLP
from .mlp import MLP, Activation, Constant, Parameters, activation, head
from .nade_network import NADENetwork
from .network import Network, lower_precision
from .ordered import OrderedNetwork
from .pixel_conv import PixelConvNet
from .pixel_gated import PixelGatedNet
from .pixel_lstm import PixelLSTMNet
from .pixel_network import PixelNetwork
from .potential import Potential
from .pyramid import FeaturePyramid, Pooled, pooled
from .recurrent import BidirectionalLSTM, CausalLSTM
from .sequence import CausalNetwork
from .tangent_velocity import TangentVelocity
from .transformer import Cache, CausalTransformer, ViT
from .velocity import Velocity, VelocityMLP

__all__ = [
    "LipschitzConvNet",
    "LipschitzDenseNet",
    "LipschitzMLP",
    "LearnedGraph",
    "MaskedMLP",
    "MLP",
    "NADENetwork",
    "MaskEnsemble",
    "Activation",
    "AutoregressiveTable",
    "BidirectionalLSTM",
    "Cache",
    "CausalLSTM",
    "CausalNetwork",
    "CausalTransformer",
    "ClipNet",
    "Condition",
    "Conditioner",
    "Constant",
    "CosineSine",
    "DenseNet",
    "ConvNet",
    "EntryHeads",
    "FeaturePyramid",
    "GatedAttention",
    "GraphMLP",
    "HiddenLayers",
    "LabelMLP",
    "LabelSequence",
    "LabelTable",
    "LabelTransformer",
    "Network",
    "OptionalContext",
    "OrderedNetwork",
    "Parameters",
    "PixelConvNet",
    "PixelGatedNet",
    "PixelLSTMNet",
    "PixelNetwork",
    "Pooled",
    "Potential",
    "grouped_parents",
    "longest_chain",
    "pooled",
    "Recorded",
    "OneHotCode",
    "ResNet",
    "TangentVelocity",
    "Velocity",
    "VelocityMLP",
    "ViT",
    "activation",
    "angle_code",
    "as_conditioner",
    "head",
    "lower_precision",
    "make_conditioner",
]

__getattr__ = old_names("networks")
