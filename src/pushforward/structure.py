"""Structure of a model put together by hand, as JSON: the classes of its parts and their arguments.

    {"class": name, "arguments": {...}}          a layer, distribution or network of this library
    {"own": name, "arguments": {...}}            a class of the user, which must be passed to `load`
    {"torch": name, "arguments": {...}}          a module of torch.nn, one of `TORCH`
    {"value": name, "fields": {...}}             a space, scalar map or solver; "own value" for a class of the user
    {"distribution": name, ...}                  a distribution of torch.distributions, with the names of its tensors
    {"tensor": numbers, "dtype": name}           a tensor that was an argument
    {"system": {...}}                            a part that a spec built

Reading imports nothing and runs only the constructors of these classes, with arguments of the types that they declare.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributions as torch_distributions
from torch import Tensor, nn
from torch.distributions import Distribution as TorchDistribution

from . import core, distributions, networks, transforms
from .admission import admits, hints_of
from .core import Distribution
from .core.torch_recipe import Recipe
from .distributions import FromTorch
from .errors import SpecError, brief
from .functional import ode
from .moved import CLASSES
from .recording import PLAIN, Module, Recorded, Unknown, arguments_of
from .systems.spec import spec_from_dict

MOST_PARTS = 10_000
"""Largest number of entries in a description; a hostile one could take hours to build."""
TORCH: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features", "bias"),
    "Conv1d": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"),
    "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"),
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine", "bias"),
    "BatchNorm1d": ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    "Flatten": ("start_dim", "end_dim"),
    "Dropout": ("p",),
    "ELU": ("alpha",),
    "GELU": ("approximate",),
    "LeakyReLU": ("negative_slope",),
    "Softplus": ("beta", "threshold"),
    **dict.fromkeys(("Identity", "ReLU", "SiLU", "Tanh", "Sigmoid"), ()),
}
"""Modules of torch.nn that a file can contain, with their arguments; `Sequential` is allowed, too."""
TENSORS = {str(t).removeprefix("torch."): t for t in (torch.float32, torch.float64, torch.int64, torch.bool)}


@functools.cache
def known_classes() -> dict[str, type]:
    """Return the library's classes that a file may contain: modules that record their arguments, spaces, maps, solvers."""
    found: dict[str, type] = {}
    for package in (core, distributions, networks, transforms):
        for name in package.__all__:
            cls = getattr(package, name)
            if isinstance(cls, type) and (issubclass(cls, nn.Module) or dataclasses.is_dataclass(cls)):
                found[name] = cls
    found |= {old: found[new] for old, new in CLASSES.items()}
    return {**found, "Fixed": ode.Fixed, "Adaptive": ode.Adaptive}


def describe_structure(model: nn.Module) -> tuple[dict[str, Any], list[type]]:
    """Return the structure of a model as plain values, and the user's classes in it.

    Raises:
        SpecError: An argument or a module cannot be described, or two parts share parameters.
    """
    if len(list(model.named_parameters(remove_duplicate=False))) != len(list(model.parameters())):
        raise SpecError(
            "expected parts with parameters of their own, got parameters that two parts share; copy one of them with "
            "copy.deepcopy before saving"
        )
    describer = _Describer()
    return describer.module(model), list(describer.own)


def build_structure(description: Mapping[str, Any], classes: Iterable[type] = ()) -> Distribution:
    """Return the model with a given description, with fresh weights.

    Args:
        description: Output of `describe_structure`, or a value from a file of unknown origin.
        classes: The user's classes that the description may contain.

    Raises:
        SpecError: A class is not known, or an argument does not have the type that the class declares.
    """
    model = _Builder(classes).read(dict(description))
    if not isinstance(model, Distribution):
        raise SpecError(f"expected the description of a distribution, got one of a {type(model).__name__}")
    return model


class _Describer:
    """Writer of descriptions; `own` collects the user's classes in them."""

    def __init__(self) -> None:
        self.own: dict[type, None] = {}

    def module(self, module: nn.Module) -> dict[str, Any]:
        """Return the description of a module."""
        kind, name = type(module), type(module).__name__
        if isinstance(module, FromTorch):
            return self._from_torch(module)
        if isinstance(module, Distribution) and module.spec is not None:
            return {"system": module.spec.to_dict()}
        if kind is nn.Sequential:
            return {"torch": name, "arguments": {"layers": [self.module(child) for child in module.children()]}}
        if name in TORCH and kind is getattr(nn, name):
            return {"torch": name, "arguments": {field: self._field(module, field) for field in TORCH[name]}}
        if not isinstance(module, Recorded):
            raise SpecError(
                f"expected modules that a file can hold, got a {name}, which keeps no record of its arguments; declare it as "
                f"class {name}(pushforward.networks.Recorded, nn.Module), or save model.state_dict() with torch.save"
            )
        arguments = {field: self._argument(module, field, value) for field, value in arguments_of(module).items()}
        return {self._key(kind, "class", "own"): name, "arguments": arguments}

    def _key(self, kind: type, known: str, own: str) -> str:
        if known_classes().get(kind.__name__) is kind:
            return known
        self.own[kind] = None
        return own

    def _field(self, module: nn.Module, field: str) -> Any:
        value = getattr(module, field)
        return value is not None if field == "bias" else self.value(value, type(module).__name__, field)

    def _argument(self, module: Recorded, field: str, value: Any) -> Any:
        """Return the description of a recorded argument; for a module, the description of the current one."""
        if isinstance(value, (Module, Unknown)):
            child = getattr(module, module.made_by.get(field, field), None)
            if isinstance(child, nn.Module):
                return self.module(child)
        elif isinstance(value, tuple) and any(isinstance(entry, Module) for entry in value):
            return [self.module(child) for child in getattr(module, field)]
        return self.value(value, type(module).__name__, field)

    def value(self, value: Any, owner: str, field: str) -> Any:
        """Return plain values, tensors, spaces and maps in a form that JSON can represent."""
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, (tuple, list)):
            return [self.value(entry, owner, field) for entry in value]
        if isinstance(value, Tensor):
            return _tensor(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, (Module, Unknown, type)):
            entries = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
            fields = {name: self.value(entry, type(value).__name__, name) for name, entry in entries.items()}
            return {self._key(type(value), "value", "own value"): type(value).__name__, "fields": fields}
        kind = value.kind if isinstance(value, Unknown) else type(value).__name__.lower()
        raise SpecError(
            f"expected arguments that a file can hold (numbers, texts, spaces, maps, modules), got a {kind} as {field!r} of "
            f"{owner}; save model.state_dict() with torch.save instead"
        )

    def _from_torch(self, module: FromTorch) -> dict[str, Any]:
        make = module.make
        if isinstance(make, type) and issubclass(make, TorchDistribution):
            make = Recipe(make, module.names)
        if not isinstance(make, Recipe):
            raise SpecError("expected a FromTorch of a class of torch.distributions, got one of another function")
        tensors = {name: _tensor(getattr(module, f"argument_{name}")) for name in module.names}
        space = self.value(module.space, "FromTorch", "space")
        return {"class": "FromTorch", "arguments": {"make": self._recipe(make), "space": space, **tensors}}

    def _recipe(self, recipe: Recipe) -> dict[str, Any]:
        name = recipe.kind.__name__
        if getattr(torch_distributions, name, None) is not recipe.kind:
            raise SpecError(f"expected a distribution of torch.distributions, got the class {name}")
        return {
            "distribution": name,
            "names": list(recipe.names),
            "parts": {part: self._recipe(inner) for part, inner in recipe.parts},
            "fixed": {field: self.value(value, name, field) for field, value in recipe.fixed},
        }


def _tensor(value: Tensor) -> dict[str, Any]:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in TENSORS:
        raise SpecError(f"expected tensors of one of the types {', '.join(TENSORS)} as arguments, got {dtype}")
    trained = {"trained": True} if isinstance(value, nn.Parameter) else {}
    return {"tensor": value.detach().cpu().tolist(), "dtype": dtype, **trained}


class _Builder:
    """Reader of descriptions of unknown origin.

    Args:
        classes: The user's classes.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self.own = {cls.__name__: cls for cls in classes}
        self.left = MOST_PARTS
        self.readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "class": lambda entry: self._made(self._known(entry["class"], Recorded), entry["arguments"]),
            "own": lambda entry: self._made(self._own(entry["own"]), entry["arguments"]),
            "value": lambda entry: self._made(self._known(entry["value"], None), entry["fields"]),
            "own value": lambda entry: self._made(self._own(entry["own value"]), entry["fields"]),
            "torch": self._torch,
            "distribution": self._recipe,
            "tensor": _read_tensor,
            "system": lambda entry: spec_from_dict(entry["system"]).build(),
        }

    def read(self, entry: Any) -> Any:
        """Return the object for one entry of a description."""
        if isinstance(entry, PLAIN):
            return entry
        if isinstance(entry, list):
            return tuple(self.read(part) for part in entry)
        self.left -= 1
        if self.left < 0:
            raise SpecError(f"expected a description of at most {MOST_PARTS:,} parts, got more")
        kinds = [kind for kind in self.readers if kind in entry]
        if len(kinds) != 1:
            raise SpecError(f"expected a part of a known kind, got {brief(entry)}")
        return self.readers[kinds[0]](entry)

    def _known(self, name: Any, base: type | None) -> type:
        cls = known_classes().get(name) if isinstance(name, str) else None
        if cls is None or (base is None) == issubclass(cls, nn.Module):
            raise SpecError(f"expected a class of pushforward, got {brief(name)}; update pushforward")
        return cls

    def _own(self, name: Any) -> type:
        if not isinstance(name, str) or name not in self.own:
            shown = name if isinstance(name, str) and name.isidentifier() else brief(name)
            raise SpecError(
                f"expected the class {shown[:100]}, which is not one of pushforward; import it and call "
                f"load(path, classes=[{shown[:100]}])"
            )
        return self.own[name]

    def _made(self, cls: type, described: Any) -> Any:
        """Return an instance of a class; its arguments are read and checked against the types that it declares."""
        arguments = {str(name): self.read(value) for name, value in dict(described).items()}
        if cls is FromTorch:
            return self._from_torch(arguments)
        made_by = getattr(cls, "made_by", {})
        hints, parameters = hints_of(cls), inspect.signature(cls).parameters
        for name, value in arguments.items():
            if name not in parameters:
                raise SpecError(f"expected arguments of {cls.__name__}, got the unknown {brief(name)}")
            if name in made_by and isinstance(value, nn.Module):
                arguments[name] = functools.partial(_given, value)
            elif not admits(_entry_hint(hints.get(name, Any), parameters[name]), value):
                raise SpecError(f"expected another type for {name!r} of {cls.__name__}, got {_shown(value)}")
        several = [name for name, p in parameters.items() if p.kind is p.VAR_POSITIONAL]
        rest = arguments.pop(several[0], ()) if several else ()
        return cls(*rest, **arguments)

    def _torch(self, entry: dict[str, Any]) -> nn.Module:
        name, described = entry["torch"], dict(entry["arguments"])
        if name == "Sequential":
            layers = self.read(described["layers"])
            if not all(isinstance(layer, nn.Module) for layer in layers):
                raise SpecError("expected the layers of a Sequential to be modules")
            return nn.Sequential(*layers)
        if name not in TORCH or set(described) != set(TORCH[name]):
            raise SpecError(f"expected one of the modules {', '.join(TORCH)} of torch.nn, got {brief(name)}")
        arguments = {field: self.read(value) for field, value in described.items()}
        cls = getattr(nn, name)
        hints = hints_of(cls)
        for field, value in arguments.items():
            if not isinstance(value, (*PLAIN, tuple)) or not admits(hints.get(field, Any), value):
                raise SpecError(f"expected another type for {field!r} of {name}, got {_shown(value)}")
        made: nn.Module = cls(**arguments)
        return made

    def _recipe(self, entry: dict[str, Any]) -> Recipe:
        name = entry["distribution"]
        kind = getattr(torch_distributions, name, None) if name in torch_distributions.__all__ else None
        if not isinstance(kind, type) or not issubclass(kind, TorchDistribution):
            raise SpecError(f"expected a class of torch.distributions, got {brief(name)}")
        parts = {str(part): self.read(inner) for part, inner in entry["parts"].items()}
        fixed = {str(field): value for field, value in entry["fixed"].items()}
        plain = all(isinstance(value, PLAIN) for value in fixed.values())
        if not plain or not all(isinstance(part, Recipe) for part in parts.values()):
            raise SpecError(f"expected distributions as the parts of {name}, got others")
        return Recipe(kind, tuple(map(str, entry["names"])), tuple(parts.items()), tuple(fixed.items()))

    def _from_torch(self, arguments: dict[str, Any]) -> FromTorch:
        make, space = arguments.pop("make"), arguments.pop("space")
        if not isinstance(make, Recipe) or not isinstance(space, core.Space):
            raise SpecError("expected a distribution and a space for FromTorch, got others")
        if not all(isinstance(value, Tensor) for value in arguments.values()):
            raise SpecError("expected tensors as the arguments of FromTorch, got others")
        return FromTorch(make, space, **arguments)


def _given(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """Return an existing module, for a class that expects a function which makes one."""
    return module


def _shown(value: Any) -> str:
    """Return a value on one line; for a module only its class, as its text has many lines."""
    return brief(value) if isinstance(value, PLAIN) else f"a {type(value).__name__}"


def _entry_hint(hint: Any, parameter: inspect.Parameter) -> Any:
    """Return the declared type of an argument; for `*layers` it is the type of each layer, and a tuple of these is returned."""
    return tuple[hint, ...] if parameter.kind is parameter.VAR_POSITIONAL else hint


def _read_tensor(entry: dict[str, Any]) -> Tensor:
    dtype = TENSORS.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise SpecError(f"expected a tensor of one of the types {', '.join(TENSORS)}, got {brief(entry['dtype'])}")
    value = torch.tensor(entry["tensor"], dtype=dtype)
    return nn.Parameter(value) if entry.get("trained") is True else value
