"""Model files: the weights as safetensors, with a JSON description that rebuilds the model; nothing is unpickled.

    8 bytes        length of the header
    header         JSON: name, type, shape and place of each tensor, and "__metadata__" with
                       "pushforward"  the description, JSON: format, version, model, spec, schema, dtype, training, hash
                       "sha256"       hash of the description
    the tensors

The model is rebuilt from its spec, from the schema of its table, or, if it was put together by hand, from its structure: the
classes of its parts and their arguments.

The two hashes together cover every byte that has a meaning. Masks, orders and other buffers that are not in the state are
computed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from .core import Distribution
from .core.budget import Budget
from .description import DEEPEST, is_deep, require_buildable
from .errors import DataError, FileError, FlowError, SpecError
from .model_header import FORMAT, KEY, inspect_file, read_description
from .networks import MLP, Constant, MaskedMLP
from .output import atomic_output, reason
from .structure import build_structure, describe_structure
from .systems.spec import Spec, spec_from_dict
from .tables import Schema, TableModel, model_of
from .transforms import Coupling


@dataclass(frozen=True)
class Saved:
    """Content of a model file.

    Args:
        model: Model with its weights, in evaluation mode, on the CPU.
        spec: Spec of the system; None for a table without numeric columns and for a model put together by hand.
        schema: Schema of the table; None if the model is not one of a table.
        training: Training record saved with the model; empty if there was none.
        version: Version of the library that wrote the file.
    """

    model: Distribution
    spec: Spec | None
    schema: Schema | None
    training: dict[str, Any]
    version: str


Path = str | os.PathLike[str]

__all__ = ["FORMAT", "KEY", "Saved", "inspect_file", "load", "save", "tensors_hash"]


@overload
def save(
    path: Path,
    model: Distribution,
    *,
    spec: Spec | Mapping[str, Any] | None = None,
    schema: Schema | None = None,
    training: Any = None,
) -> None: ...


@overload
def save(
    path: Distribution,
    model: Path,
    *,
    spec: Spec | Mapping[str, Any] | None = None,
    schema: Schema | None = None,
    training: Any = None,
) -> None: ...


def save(
    path: Path | Distribution,
    model: Distribution | Path,
    *,
    spec: Spec | Mapping[str, Any] | None = None,
    schema: Schema | None = None,
    training: Any = None,
) -> None:
    """Write a model to one file, which is replaced atomically: `save(path, model)` or `save(model, path)`.

    For a model put together by hand, the file contains the classes of its parts and their arguments. Parts can be layers,
    distributions and networks of this library, common modules of `torch.nn`, and your own classes derived from `Transform`,
    `Distribution` or `networks.Recorded`, which must then be passed to `load`. The arguments can be numbers, texts, small
    tensors, spaces, scalar maps and such parts.

    Args:
        path: Path of the file, usually ending in .flow.
        model: Model built by a spec or put together by hand, or a `TableModel`.
        spec: Spec of the system, or its `to_dict()`; by default the spec that built the model.
        schema: Schema of the table, for a `TableModel`; by default its own. A schema with the same columns and more (a split)
            can be passed.
        training: Training record: a mapping of plain values, or an object with `to_dict()`, such as the result of `fit`.

    Raises:
        FileError: The path cannot be written.
        SpecError: The spec does not build this model, or a part of a model put together by hand cannot be described.
        DataError: A schema was passed with a model that is not one of a table, or the schema has other columns, or the training
            record is nested too deep.
    """
    from . import __version__

    if isinstance(path, Distribution) or not isinstance(model, Distribution):
        path, model = model, path
    if not isinstance(model, Distribution) or isinstance(path, Distribution):
        raise SpecError(f"expected a model and a path to save, got {type(path).__name__} and {type(model).__name__}")
    spec = spec_from_dict(spec) if isinstance(spec, Mapping) else spec or model.spec
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    own: Iterable[type] = ()
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    if isinstance(model, TableModel):
        schema = schema or model.schema
        if schema.columns != model.schema.columns:
            raise DataError("expected the schema that the model was made with, got one of other columns")
        labels = None if model.label_spec is None else model.label_spec.to_dict()
        document |= {
            "model": "table",
            "label_hidden": list(model.label_hidden),
            "labels": labels,
            "schema": schema.to_dict(),
        }
    elif schema is not None:
        raise DataError(f"expected a table's model to go with a schema, got a {type(model).__name__}")
    elif spec is None:
        structure, own = describe_structure(model)
        document |= {"model": "structure", "schema": None, "structure": structure}
    else:
        document |= {"model": "system", "schema": None}
    document["spec"] = None if spec is None else spec.to_dict()
    document["training"] = _plain(training)
    document["tensors"] = tensors_hash(tensors)
    text = json.dumps(document, default=_plain)
    read = json.loads(text)
    if is_deep(read):
        raise DataError(
            f"expected a structure and a training record of at most {DEEPEST} levels of lists and dictionaries, got deeper ones"
        )
    start = "expected a spec that builds this model, got one that"
    if spec is None and document["model"] == "structure":
        require_buildable(read, sum(tensor.numel() for tensor in tensors.values()))
        start = "expected a model that can be rebuilt from the arguments of its parts, got one whose copy"
    _require_same(tensors, _built(read, own).state_dict(), SpecError, start)
    content = save_tensors(tensors, {KEY: text, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    with atomic_output(path) as temporary:
        temporary.write_bytes(content)


def load(path: str | os.PathLike[str], *, classes: Iterable[type] = ()) -> Saved:
    """Read a model file, rebuild the model and check every tensor's name, shape, type and value.

    Nothing in the file is unpickled, imported or executed. A model put together by hand is rebuilt with the constructors of
    this library's classes, and of those in `classes`.

    Args:
        path: Path of a file that `save` wrote.
        classes: Your own classes of layers, distributions, networks or scalar maps that the model contains.

    Raises:
        FileError: The file is missing, truncated, corrupted, of another kind, or written by a newer version.
    """
    name = os.fspath(path)
    document = read_description(name)
    try:
        with open(name, "rb") as file:
            tensors = load_tensors(file.read())
    except OSError as error:
        raise FileError(f"{name} cannot be read: {reason(error)}") from None
    except (SafetensorError, KeyError, ValueError, RuntimeError, MemoryError):
        raise FileError(f"{name} is truncated or corrupted; copy or download it again") from None
    if tensors_hash(tensors) != document["tensors"]:
        raise FileError(f"{name} is corrupted: its weights do not match their checksum; copy or download it again")
    try:
        numbers = sum(tensor.numel() for tensor in tensors.values())
        require_buildable(document, numbers)
        with Budget(numbers, len(tensors)):
            model = _built(document, classes)
        schema = None if document["schema"] is None else Schema.from_dict(document["schema"])
        spec = None if document["spec"] is None else spec_from_dict(document["spec"])
    except FlowError as error:
        raise FileError(f"{name} holds a model that this version cannot build: {error}") from None
    # Arguments from a file can raise any error in a constructor: IndexError, ZeroDivisionError, RecursionError, ...
    except Exception as error:
        raise FileError(
            f"{name} contains a description from which no model can be built ({type(error).__name__})"
        ) from None
    _require_same(tensors, model.state_dict(), FileError, f"{name} does not fit the model that it describes: it")
    model.load_state_dict(tensors)
    if document["format"] == 1:
        _from_format_1(model)
    return Saved(model.eval(), spec, schema, document["training"], document["version"])


@torch.no_grad()
def _from_format_1(model: Distribution) -> None:
    """Reorder the outputs of conditioners for a file of format 1.

    There the parameters of each coordinate were contiguous; now each parameter is contiguous over the coordinates.
    """
    for module in model.modules():
        if isinstance(module, MaskedMLP):
            last, n = [module.out.weight, module.out.bias], module.n
        elif isinstance(module, Coupling) and isinstance(module.net, MLP):
            last, n = [module.net.out.weight, module.net.out.bias], module.scalar.n
        elif isinstance(module, Coupling) and isinstance(module.net, Constant):
            last, n = [module.net.value], module.scalar.n
        else:
            continue
        for tensor in last:
            tensor.copy_(tensor.unflatten(0, (-1, n)).transpose(0, 1).flatten(0, 1))


def _built(document: Mapping[str, Any], classes: Iterable[type] = ()) -> Distribution:
    """Return the model with fresh weights; the random state is not changed."""
    spec = None if document["spec"] is None else spec_from_dict(document["spec"])
    with torch.random.fork_rng(devices=[]):
        model: Distribution
        if document["model"] == "table":
            labels = document.get("labels")
            model = model_of(
                Schema.from_dict(document["schema"]),
                spec,
                tuple(document["label_hidden"]),
                None if labels is None else spec_from_dict(labels),
            )
        elif document["model"] == "system" and spec is not None:
            model = spec.build()
        elif document["model"] == "structure":
            model = build_structure(document["structure"], classes)
        else:
            raise SpecError("expected the description of a system, got none")
    return model.to(getattr(torch, document["dtype"]))


def _require_same(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], error: type[SpecError] | type[FileError], start: str
) -> None:
    """Refuse missing and extra tensors, other shapes and other types; `start` is the beginning of the message."""
    for name in sorted(set(wanted) - set(tensors)):
        raise error(f"{start} lacks the tensor {name!r}")
    for name, tensor in tensors.items():
        if name not in wanted:
            raise error(f"{start} has an unknown tensor {name!r}")
        shape, expected = tuple(tensor.shape), tuple(wanted[name].shape)
        if shape != expected or tensor.dtype != wanted[name].dtype:
            raise error(
                f"{start} has {name!r} of shape {shape} and {tensor.dtype}, not {expected} and {wanted[name].dtype}"
            )


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 hash of the names, types, shapes and bytes of tensors, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _plain(value: Any) -> Any:
    """Return a value that JSON can represent, given a record, array or path."""
    if value is None:
        return {}
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        return value.tolist()
    return str(value)
