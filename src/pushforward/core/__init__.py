"""The core: Space, Exactness, Transform, Distribution, Chain, Inverse, Flow, Spec. Read this package first.

log p(x) = log p(z) + sum of the layers' contributions
"""

from .base import CodeSource, Distribution, Given, Node, Transform, Undo
from .compose import Chain, Flow, Identity, Inverse, initialise, layers_of
from .exactness import Exactness
from .space import Box, Categories, Integers, OneHot, Real, Simplex, Space, context_space
from .spec import Spec, build, spec_from_dict
from .symbols import Symbols
from .twins import exactly

__all__ = [
    "Box",
    "Categories",
    "Chain",
    "CodeSource",
    "Distribution",
    "Exactness",
    "Flow",
    "Given",
    "Identity",
    "Integers",
    "Inverse",
    "Node",
    "OneHot",
    "Real",
    "Simplex",
    "Space",
    "Spec",
    "Symbols",
    "Transform",
    "Undo",
    "build",
    "context_space",
    "exactly",
    "initialise",
    "layers_of",
    "spec_from_dict",
]
