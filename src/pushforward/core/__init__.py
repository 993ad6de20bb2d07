"""The core: Space, Exactness, Transform, Distribution, Chain, Inverse, Flow, Spec. Read this package first.

log p(x) = log p(z) + sum of the layers' contributions
"""

from .base import CodeSource, Distribution, Given, Node, Transform, Undo
from .compose import Chain, Flow, Identity, Inverse, initialise, layers_of
from .curved_space import Circle, Sphere, Torus
from .discrete_space import Categories, Integers, OneHot
from .exactness import Exactness
from .space import Box, Real, Simplex, Space, context_space
from .spec import Spec, build, spec_from_dict
from .symbols import Symbols
from .twins import exactly

__all__ = [
    "Box",
    "Categories",
    "Chain",
    "Circle",
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
    "Sphere",
    "Symbols",
    "Torus",
    "Transform",
    "Undo",
    "build",
    "context_space",
    "exactly",
    "initialise",
    "layers_of",
    "spec_from_dict",
]
