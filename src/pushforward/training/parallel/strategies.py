"""Strategies for placing the weights of a run: all of them in every process, or a shard in each.

`Replicated` is for one process, or for several with DistributedDataParallel (Li et al. 2020, arXiv:2006.15704), which averages
their gradients. `Sharded` is FSDP2 (Zhao et al. 2023, arXiv:2304.11277; `torch.distributed.fsdp.fully_shard`): every process
keeps a part of each weight, of its gradient and of the optimizer's state, and gathers a whole layer only while it computes it.
Both wrap the objective, because torch acts only on the `forward` of a module.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from ...core import Chain, Transform
from ...errors import SpecError
from ..config import TrainConfig
from ..model_weights import NamedTensors, bundle, local, tensors
from ..trial_step import leaves_out_parameters
from .processes import ProcessRanks


class Replicated:
    """All weights in every process, with the same values.

    Args:
        model: The model to train.
        objective: The loss.
        config: Options of the run, resolved.
        ranks: The processes.
        parameters: Parameters to train; by default all that require a gradient.

    Attributes:
        whole: The bundle of the model and the objective that is trained.
        parameters: Tensors that the optimizer updates.

    Raises:
        SpecError: There are several processes, and the model is not a submodule of the objective.
    """

    sharded = False

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        config: TrainConfig,
        ranks: ProcessRanks,
        parameters: Sequence[nn.Parameter] | None = None,
    ) -> None:
        self.whole, self.objective, self.ranks = bundle(model, objective), objective, ranks
        own = [p for p in self.whole.parameters() if p.requires_grad]
        self.parameters: list[nn.Parameter] = own if parameters is None else list(parameters)
        if ranks.several and set(self.whole.parameters()) != set(objective.parameters()):
            raise SpecError(
                "expected an objective that holds the model as a part of itself, as several processes wrap the objective; "
                f"got a {type(objective).__name__} without some of its parameters"
            )

    def wrap(self, loss: nn.Module, inputs: tuple[Any, ...]) -> Callable[..., Tensor]:
        """Return a loss whose gradients are averaged over several processes.

        Args:
            loss: A module with all parameters.
            inputs: Arguments of the loss for some rows, used to find out whether the loss depends on all parameters.
        """
        from torch.nn.parallel import DistributedDataParallel

        device = inputs[0][0].device
        (unused,) = self.ranks.agree(leaves_out_parameters(self.whole, self.objective, inputs, device), now=True)
        with warnings.catch_warnings():
            # Older versions of torch do not know the new name of `broadcast_buffers`.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(
                loss,
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,
                init_sync=False,
                find_unused_parameters=unused,
                gradient_as_bucket_view=True,
            )

    def clear(self) -> None:
        """Remove the gradients of tensors other than `parameters`; here there are none."""

    def collect(self) -> None:
        """Copy the gradients into `parameters` after a backward pass; here they are there already."""

    def norm_of_all(self, norm: Tensor) -> Tensor:
        """Return the norm of the whole gradient, given that of this process's `parameters`."""
        return norm

    def full(self, weights: NamedTensors) -> NamedTensors:
        """Return whole tensors, given tensors of `whole`, in every process."""
        return weights

    def part(self, weights: NamedTensors) -> NamedTensors:
        """Return this process's tensors, given whole ones: the inverse of `full`."""
        return weights

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return an optimizer's state with whole tensors, in every process."""
        return state

    def part_of_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return an optimizer's state with this process's tensors: the inverse of `full_state`."""
        return state


class Sharded(Replicated):
    """A shard of each weight in every process; a copy is trained, and the model gets its weights at the end.

    Args:
        model: The model to train, with the same weights in all processes; it is on the CPU during training.
        objective: The loss.
        config: Options of the run, resolved.
        ranks: The processes, more than one.

    Raises:
        SpecError: A parameter is a single number, which cannot be split, or an option cannot be combined with shards.
    """

    sharded = True

    def __init__(self, model: nn.Module, objective: nn.Module, config: TrainConfig, ranks: ProcessRanks) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        if config.memory == "invert" or config.compile:
            option = "compile=True" if config.compile else "memory='invert'"
            raise SpecError(
                f"expected {option} or parallel='fsdp', got both; use parallel='ddp', or memory='checkpoint'"
            )
        plain = bundle(model, objective)
        for name, parameter in plain.named_parameters():
            if parameter.dim() == 0:
                raise SpecError(f"expected no single number among the parameters, got {name}; use parallel='ddp'")
        copied: Any = copy.deepcopy(plain)
        for parameter in copied.parameters():
            # Shards are cut from contiguous memory; convolution kernels in channels-last layout are not contiguous.
            parameter.data = parameter.data.contiguous()
        super().__init__(copied["model"], copied["objective"], config, ranks)
        device = self.parameters[0].device
        if device.type != "cpu":
            plain.to("cpu")
        mesh = init_device_mesh(device.type, (ranks.size,))
        for layer in _units(self.whole):
            fully_shard(layer, mesh=mesh)
            for method in ("inverse", "forward_aux"):
                register_fsdp_forward_method(layer, method)
        fully_shard(self.objective, mesh=mesh)
        self.shards: list[Any] = [p for p in self.whole.parameters() if p.requires_grad]
        # The optimizer updates plain tensors that share memory with the shards: faster than DTensors, and every option works.
        self.parameters = [nn.Parameter(p.detach().to_local()) for p in self.shards]

    def wrap(self, loss: nn.Module, inputs: tuple[Any, ...]) -> Callable[..., Tensor]:
        """Return the loss without FSDP's warnings; the objective is already wrapped."""

        def quiet(*inputs: Any) -> Tensor:
            with warnings.catch_warnings():
                # The outputs of layers are often views; chains never change them in place.
                warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view")
                return loss(*inputs)

        return quiet

    def clear(self) -> None:
        """Remove the gradients of the shards."""
        for shard in self.shards:
            shard.grad = None

    def collect(self) -> None:
        """Give the gradients of the shards to the parameters that the optimizer updates."""
        for own, shard in zip(self.parameters, self.shards, strict=True):
            own.grad = None if shard.grad is None else shard.grad.to_local()

    def norm_of_all(self, norm: Tensor) -> Tensor:
        """Return the norm of the gradient over the shards of all processes."""
        # Every entry of the gradient is in exactly one shard, so the squared norms of the shards add up.
        return self.ranks.total(norm.square()).sqrt()

    def full(self, weights: NamedTensors) -> NamedTensors:
        """Return whole tensors, on the CPU."""
        return {name: _whole(tensor) for name, tensor in weights.items()}

    def part(self, weights: NamedTensors) -> NamedTensors:
        """Return this process's shards of whole tensors."""
        own = tensors(self.whole)
        return {name: self._shard(tensor, own[name]) for name, tensor in weights.items()}

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return an optimizer's state with whole tensors, on the CPU."""
        return self._mapped(state, lambda value, shard: _whole(_shaped(value, shard)))

    def part_of_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return an optimizer's state with this process's shards."""
        return self._mapped(state, lambda value, shard: local(self._shard(value, shard)))

    def _mapped(self, state: dict[str, Any], change: Callable[[Tensor, Any], Tensor]) -> dict[str, Any]:
        changed = {
            number: {
                k: change(v, self.shards[number]) if isinstance(v, Tensor) and v.dim() else v for k, v in values.items()
            }
            for number, values in state["state"].items()
        }
        return {**state, "state": changed}

    def _shard(self, full: Tensor, like: Any) -> Tensor:
        if not hasattr(like, "to_local"):
            return full
        own = like.to_local()
        # FSDP2 splits the first dimension into pieces of ceil(n / size) rows, as torch.chunk does; the last ones may be
        # smaller or empty.
        first = self.ranks.rank * -(-full.shape[0] // self.ranks.size)
        return _shaped(full[first : first + own.shape[0]].to(own.device), like)


def _units(whole: nn.Module) -> list[Transform]:
    """Return the layers that are gathered one at a time; none if two of them share a parameter."""
    layers = [layer for chain in whole.modules() if isinstance(chain, Chain) for layer in chain.layers]
    units = [
        layer
        for layer in dict.fromkeys(layers)
        if any(True for _ in layer.parameters()) and not any(isinstance(part, Chain) for part in layer.modules())
    ]
    # Parameters outside the layers belong to one more owner. If a parameter had two owners, the union would be smaller
    # than the sum.
    inside = {module for unit in units for module in unit.modules()}
    owners = [set(unit.parameters()) for unit in units]
    owners.append({p for m in whole.modules() if m not in inside for p in m.parameters(recurse=False)})
    return units if len(set().union(*owners)) == sum(map(len, owners)) else []


def _whole(tensor: Any) -> Tensor:
    found: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found.detach().cpu()


def _shaped(part: Tensor, like: Any) -> Tensor:
    """Return this process's part of a tensor, as a shard with the layout of another one."""
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
