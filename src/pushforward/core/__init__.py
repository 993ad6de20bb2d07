"""Core classes: Space, Exactness, Transform, Distribution, Chain, Inverse and Flow. Read this package first.

A flow maps an event x through layers to a latent code z and adds up what each layer contributes (nats):

    log p(x) = log p(z) + sum of dlogp over the layers
"""

from ..moved import old_names
from .chain import Chain, Identity, Inverse, layers_of
from .conditioned import Conditioned
from .curved_space import Circle, Sphere, Torus
from .discrete_space import Categories, Integers, OneHot
from .distribution import Distribution
from .exactness import Exactness
from .flow import Flow, initialise
from .node import Node
from .product_space import Product, product_of
from .simplex_space import Simplex
from .space import Box, Real, Space, context_space
from .symbols import Symbols
from .torch_boundary import FromTorch
from .transform import CodeSource, Given, Transform, Undo
from .twins import exactly

__all__ = [
    "Box",
    "Categories",
    "Chain",
    "Circle",
    "CodeSource",
    "Conditioned",
    "Distribution",
    "Exactness",
    "Flow",
    "FromTorch",
    "Given",
    "Identity",
    "Integers",
    "Inverse",
    "Node",
    "OneHot",
    "Product",
    "Real",
    "Simplex",
    "Space",
    "Sphere",
    "Symbols",
    "Torus",
    "Transform",
    "Undo",
    "context_space",
    "exactly",
    "initialise",
    "layers_of",
    "product_of",
]

__getattr__ = old_names("core")
