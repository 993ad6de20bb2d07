"""Records of the constructor arguments of layers, distributions and networks, which `repr` shows and `save` writes.

A record contains plain values, spaces and scalar maps. For an argument that is a module it contains only a placeholder,
because the module itself is an attribute of the object.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

PLAIN = (bool, int, float, str, type(None))
LARGEST_TENSOR = 4096
"""Largest number of values of a tensor in a record."""
LONGEST = 60
"""Largest number of characters of one argument in `repr`."""


@dataclasses.dataclass(frozen=True)
class Module:
    """Placeholder for an argument that is a module, or that makes one."""


@dataclasses.dataclass(frozen=True)
class Unknown:
    """Placeholder for an argument that cannot be recorded.

    Args:
        kind: Name of the argument's type.
    """

    kind: str


class Recorded:
    """Base class of modules that record their arguments, show them in `repr`, and can be saved as part of a flow.

    Layers and distributions are derived from it. Your own network can be, too:
    `class MyNetwork(Recorded, nn.Module)`. The arguments are kept in `__dict__["_arguments"]`.
    """

    made_by: Mapping[str, str] = {}
    """Attributes that hold a module which an argument makes, such as a factory of networks, by the argument's name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the constructor of a subclass record its arguments."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    def extra_repr(self) -> str:
        """Return the arguments that differ from their defaults, in the constructor's order."""
        return ", ".join(_shown(self))


def arguments_of(module: object) -> dict[str, Any]:
    """Return the recorded arguments by name, with defaults; empty if the class records none."""
    found: dict[str, Any] = getattr(module, "__dict__", {}).get("_arguments", {})
    return found


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that records its arguments first, unless that of a subclass has done so."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_arguments" not in self.__dict__:
            self.__dict__["_arguments"] = _bound(signature, (self, *args), kwargs)
        init(self, *args, **kwargs)

    return recorded


def _bound(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return {}  # The constructor raises the same error with its own name in it.
    bound.apply_defaults()
    return {name: _kept(value) for name, value in list(bound.arguments.items())[1:]}


def _kept(value: Any) -> Any:
    """Return the value to record for an argument."""
    if isinstance(value, nn.Module):
        return Module()
    if isinstance(value, PLAIN) or _is_value(value):
        return value
    if isinstance(value, (list, tuple, range)):
        return tuple(_kept(entry) for entry in value)
    if isinstance(value, Tensor) and value.numel() <= LARGEST_TENSOR and not value.is_meta:
        return value.detach().clone()
    return Unknown(type(value).__name__ if not callable(value) else "function")


def _is_value(value: Any) -> bool:
    """Return whether a value is a dataclass: a space, a scalar map, a solver."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and not isinstance(value, nn.Module)


def _shown(module: Recorded) -> list[str]:
    parameters = inspect.signature(type(module).__init__).parameters
    texts = []
    for name, value in arguments_of(module).items():
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        if _has_parts(value) or (default is not inspect.Parameter.empty and _same(value, _kept(default))):
            continue
        text = describe(value)
        texts.append(text if _is_value(value) and not isinstance(value, Tensor) else f"{name}={text}")
    return texts


def _has_parts(value: Any) -> bool:
    """Return whether a recorded argument has a placeholder: for a module, which the tree below shows, or an unknown value."""
    if isinstance(value, tuple) and value:
        return any(_has_parts(entry) for entry in value)
    return isinstance(value, (Module, Unknown))


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and not isinstance(a, Tensor) and bool(a == b)


def describe(value: Any) -> str:
    """Return a short text for an argument: `RationalQuadratic(bins=8, bound=5.0)`, `Real(2)`, `10100`.

    Masks, which are lists of booleans, are shown as zeros and ones. Long texts are cut.
    """
    text = _described(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor{tuple(value.shape)}"
    if isinstance(value, tuple) and value and all(isinstance(entry, bool) for entry in value):
        return "".join("01"[entry] for entry in value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_described, value))}{',' if len(value) == 1 else ''})"
    if not _is_value(value):
        return repr(value)
    facts = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
    texts = [_fact(field.name, entry) for field, entry in facts if entry is not None and field.name != "n"]
    return f"{type(value).__name__}({', '.join(text for text in texts if text)})"


def _fact(name: str, value: Any) -> str:
    if name == "shape" and isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{name}={_described(value)}"
