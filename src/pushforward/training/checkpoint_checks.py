"""Checks of a checkpoint's content against the run that resumes from it, made before the run is changed.

A checksum shows that a file was not damaged, but not that its content fits this run. Content of the wrong types, shapes or
ranges would end the run later with an error that names neither the file nor the wrong part.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import FileError, TrainingError
from .config import TrainConfig
from .model_weights import NamedTensors, plain_name
from .progress_state import Position

MOMENTS = frozenset({"step", "exp_avg", "exp_avg_sq"})
"""Names of the tensors that AdamW keeps for each parameter."""
NEEDED = frozenset({"lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "params"})
"""Options of a parameter group without which AdamW cannot make a step."""
RECORD = ("epoch", "steps", "train", "validation", "lr", "gradient", "seconds", "best")
"""Keys in the record of an epoch."""


def require_same_run(
    state: Mapping[str, Any], path: object, config: TrainConfig, weights: NamedTensors, fingerprint: list[str]
) -> None:
    """Refuse a checkpoint of another model, other data or other options.

    Raises:
        TrainingError: The checkpoint differs; the message names the first difference.
    """
    then, now = _shapes(state["weights"]), _shapes(weights)
    for name in [*now, *then]:
        if then.get(name) != now.get(name):
            raise TrainingError(
                f"the checkpoint in {path} is of another model: {plain_name(name)} is {then.get(name, 'absent')} there and "
                f"{now.get(name, 'absent')} here; build the model with the same arguments"
            )
    if state["data"] != fingerprint:
        raise TrainingError(
            f"the checkpoint in {path} is of other data or another split; resume with the same rows, context and validation"
        )
    different = config.differences(state["config"])
    if different:
        name = different[0]
        raise TrainingError(
            f"the checkpoint in {path} is of a run with {name}={state['config'].get(name)!r}, got {name}="
            f"{getattr(config, name)!r}; only its length (epochs, max_steps, max_seconds) and speed (compile, threads) may "
            "change on resume"
        )


def _shapes(weights: NamedTensors) -> dict[str, str]:
    return {name: f"{tuple(t.shape)} {t.dtype}" for name, t in weights.items()}


def require_sound(state: Mapping[str, Any], path: object, fresh: Mapping[str, Any], batches: int | None) -> None:
    """Refuse a state whose parts do not have the types, shapes and ranges that this run needs.

    Args:
        state: The content of the checkpoint; its weights have the same names and shapes as those of the run.
        path: Path of the file, for the message.
        fresh: The state of this run, as it would be saved now.
        batches: Number of batches in an epoch; None if it is not known.

    Raises:
        TrainingError: A part cannot be used; the message names it.
    """
    made = state.get("optimizer_class")
    if made != fresh.get("optimizer_class"):
        raise TrainingError(
            f"the checkpoint in {path} is of a run with the optimizer {made or 'AdamW of fit'}, got "
            f"{fresh.get('optimizer_class', 'AdamW of fit')}; resume with the same optimizer"
        )
    streams = state.get("random_others", [])
    weights = fresh["weights"]
    sound = {
        "best": state["best"] is None or _like(state["best"], weights),
        "average": _like(state["average"], fresh["average"]),
        "scale": _like(state.get("scale"), fresh["scale"]),
        "random": isinstance(streams, list)
        and all(_stream_sound(s, fresh["random"]) for s in [state["random"], *streams]),
        "optimiser": _optimizer_sound(
            state["optimiser"], fresh["optimiser"], fresh["parameters"] if made is None else None
        ),
        "position": _position_sound(state["position"], batches),
    }
    for part, well in sound.items():
        if not well:
            raise TrainingError(
                f"expected a training checkpoint of this run in {path}, got one with an unusable part {part!r}; start a "
                "new run, or resume from another checkpoint"
            )


def require_plain(state: Mapping[str, Any], path: object) -> None:
    """Refuse a state whose model, data or options are not plain values that can be compared with those of another run.

    Raises:
        FileError: A part cannot be used; the message names it.
    """
    data, config = state["data"], state["config"]
    plain = {
        "weights": plain_weights(state["weights"]),
        "data": isinstance(data, list) and all(isinstance(entry, str) for entry in data),
        "config": isinstance(config, Mapping)
        and all(isinstance(k, str) and isinstance(v, (str, int, float, type(None))) for k, v in config.items()),
    }
    for part, well in plain.items():
        if not well:
            raise FileError(f"expected a training checkpoint, got a file with an unusable part {part!r} in {path}")


def plain_weights(value: object) -> bool:
    """Return whether a value is a mapping from names to tensors."""
    return isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _like(found: Any, own: Any) -> bool:
    """Return whether a value has the same keys, lengths, types and shapes as another one; floats must only be finite."""
    if isinstance(own, Tensor):
        return isinstance(found, Tensor) and (found.shape, found.dtype, found.layout) == (
            own.shape,
            own.dtype,
            own.layout,
        )
    if isinstance(own, Mapping):
        return isinstance(found, Mapping) and found.keys() == own.keys() and all(_like(found[k], own[k]) for k in own)
    if isinstance(own, (list, tuple)):
        fits = isinstance(found, (list, tuple)) and len(found) == len(own)
        return fits and all(_like(a, b) for a, b in zip(found, own, strict=True))
    if isinstance(own, float):
        return isinstance(found, float) and math.isfinite(found)
    return type(found) is type(own)


def _stream_sound(found: Any, own: Mapping[str, Tensor]) -> bool:
    """Return whether stored random states fit this device.

    A checkpoint made on another kind of device may have no state for this device's generator, or one that is not used here.
    """
    if not plain_weights(found) or not {"cpu"} <= found.keys() <= {"cpu", "cuda"}:
        return False
    return all(_like(found[name], own[name]) for name in own if name in found)


def _optimizer_sound(found: Any, own: Mapping[str, Any], parameters: list[Tensor] | None) -> bool:
    """Return whether the stored state fits the optimiser.

    `parameters` is None for an optimizer that the user passed: the layout of its state is not known, so only its type is
    checked.
    """
    groups = found.get("param_groups") if isinstance(found, Mapping) else None
    if not isinstance(groups, list) or len(groups) != len(own["param_groups"]):
        return False
    if not all(_group_sound(group, like) for group, like in zip(groups, own["param_groups"], strict=True)):
        return False
    moments = found.get("state")
    if parameters is None:
        return isinstance(moments, Mapping) and all(isinstance(v, Mapping) for v in moments.values())
    return isinstance(moments, Mapping) and all(_moments_sound(k, v, parameters) for k, v in moments.items())


def _group_sound(found: Any, own: Mapping[str, Any]) -> bool:
    """Return whether a parameter group fits.

    The options of a group differ between versions of torch, and the switch for the fused update differs between devices.
    """
    if (
        not isinstance(found, Mapping)
        or not (NEEDED & own.keys()) <= found.keys()
        or not _like(found.get("params"), own["params"])
    ):
        return False
    if list(found["params"]) != list(own["params"]):
        return False
    return all(
        name not in own or _like(value, own[name]) or (_switch(value) and _switch(own[name]))
        for name, value in found.items()
    )


def _switch(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _moments_sound(number: Any, values: Any, parameters: list[Tensor]) -> bool:
    if type(number) is not int or not 0 <= number < len(parameters) or not plain_weights(values):
        return False
    shape = parameters[number].shape
    return values.keys() == MOMENTS and all(
        tensor.is_floating_point() and tensor.shape == (() if name == "step" else shape)
        for name, tensor in values.items()
    )


def _position_sound(found: Any, batches: int | None) -> bool:
    fields = [field.name for field in dataclasses.fields(Position)]
    if not isinstance(found, Mapping) or found.keys() != set(fields):
        return False
    counts = [found[name] for name in ("epoch", "batch", "step", "rows", "stalled", "waited", "best_epoch")]
    sums = [found[name] for name in ("running", "gradient")]
    history, score = found["history"], found["score"]
    return (
        all(type(count) is int and 0 <= count < 2**62 for count in counts)
        and all(isinstance(t, Tensor) and t.is_floating_point() and t.dim() == 0 for t in sums)
        and all(_number(found[name]) and found[name] >= 0 for name in ("seconds", "plateau"))
        and (score is None or type(score) is float)
        and (batches is None or found["batch"] <= batches)
        and found["rows"] >= found["batch"]
        and isinstance(history, list)
        and len(history) == found["epoch"] - 1
        and found["best_epoch"] < max(found["epoch"], 1)
        and all(map(_record_sound, history))
    )


def _record_sound(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.keys() >= set(RECORD)
        and all(isinstance(name, str) and isinstance(value, (int, float, type(None))) for name, value in record.items())
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
