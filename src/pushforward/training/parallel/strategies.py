"""Where the weights of a run live: all of them in every process, or a shard in each; and how a step's loss is made there.

`Replicated` is one process, or several with DistributedDataParallel (Li et al. 2020, arXiv:2006.15704), which averages their
gradients. `Sharded` is FSDP2 (Zhao et al. 2023, arXiv:2304.11277; `torch.distributed.fsdp.fully_shard`): every process
keeps a part of each weight, of its gradient and of the optimiser's state, and gathers whole layers while it computes them.
What is wrapped is the objective, because both act on `forward` only.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ...core import Chain, Transform
from ...errors import SpecError
from ..config import TrainConfig
from ..trial_step import rehearsal
from ..weights import Weights, bundle, local, tensors
from .batch_norm import SharedMoments
from .processes import ProcessRanks

Batch = tuple[Tensor, ...]


class Replicated:
    """Every process has all weights, and the same ones.

    Args:
        model: to train.
        objective: the loss.
        config: resolved.
        ranks: the processes.

    Raises:
        SpecError: there are several, and the objective does not hold the model.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, config: TrainConfig, ranks: ProcessRanks) -> None:
        self.whole, self.objective, self.ranks = bundle(model, objective), objective, ranks
        self.parameters: list[nn.Parameter] = [p for p in self.whole.parameters() if p.requires_grad]
        self.compiled: Callable[[Batch], Tensor] | None = None
        self.compiled_rows = 0
        self.moments = SharedMoments(self.whole, ranks)
        self.strays = _strays(self.whole) if ranks.several else []
        self._wrapped: nn.Module | None = None
        if ranks.several and set(self.whole.parameters()) != set(objective.parameters()):
            raise SpecError(
                "expected an objective that holds the model as a part of itself, as several processes wrap the objective; "
                f"got a {type(objective).__name__} without some of its parameters"
            )

    def wrap(self, batch: Batch) -> None:
        """Wrap the objective where there are several processes; in training mode and in the precision of the run.

        Args:
            batch: a whole one, to find out whether all parameters have a part in the loss.
        """
        if not self.ranks.several:
            return
        from torch.nn.parallel import DistributedDataParallel

        rows, _ = self.ranks.share(batch)
        (unused,) = self.ranks.agree(_leaves_out(self.whole, self.objective, rows), now=True)
        device = rows[0].device
        with warnings.catch_warnings():
            # The newer name of `broadcast_buffers` is not known to older versions of torch.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            self._wrapped = DistributedDataParallel(
                _Loss(self),
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,
                init_sync=False,
                find_unused_parameters=unused,
                gradient_as_bucket_view=True,
            )

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """The mean loss of this process's part of a batch, and the part's share of the batch."""
        rows, weight = self.ranks.share(batch)
        with self.moments.shared(batch, rows, weight):
            return (self._wrapped or self._own_loss)(rows), weight

    def _own_loss(self, rows: Batch) -> Tensor:
        # Eager for the last batch of an epoch when it has another size: padding would be exact for some objectives only.
        fits = self.compiled is not None and rows[0].shape[0] == self.compiled_rows
        return self.compiled(rows) if fits and self.compiled is not None else self.objective(rows)

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def collect(self) -> None:
        """Put the gradients where the optimiser looks for them, after a backward pass."""

    def norm(self) -> Tensor:
        """Norm of the gradient of all weights."""
        return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def full(self, weights: Weights) -> Weights:
        """Whole tensors from tensors of `whole`, in every process."""
        return weights

    def part(self, weights: Weights) -> Weights:
        """The reverse of `full`."""
        return weights

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """An optimiser's state with whole tensors, in every process."""
        return state

    def part_of_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """The reverse of `full_state`."""
        return state


class Sharded(Replicated):
    """Every process has a shard of each weight. What is trained is a copy; the model itself gets its weights at the end.

    Args:
        model: to train, its weights the same in all processes; moved to the CPU meanwhile.
        objective: the loss.
        config: resolved.
        ranks: the processes, more than one.

    Raises:
        SpecError: a parameter is a single number, which cannot be shared out; or an option does not fit.
    """

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
            # Shards are cut from contiguous memory; kernels laid out channels-last are not.
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
        # The optimiser works on plain tensors that share memory with the shards: that is quicker, and knows every trick.
        self.parameters = [nn.Parameter(p.detach().to_local()) for p in self.shards]

    def wrap(self, batch: Batch) -> None:
        """Nothing is left to do."""

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """The mean loss of this process's part of a batch, and the part's share of the batch."""
        with warnings.catch_warnings():
            # Contributions of layers are often views; chains never change them in place.
            warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view")
            return super().loss(batch)

    def clear(self) -> None:
        """Forget the gradients."""
        super().clear()
        for shard in self.shards:
            shard.grad = None

    def collect(self) -> None:
        """Hand the shards of the gradients to the parameters that the optimiser knows."""
        for own, shard in zip(self.parameters, self.shards, strict=True):
            own.grad = None if shard.grad is None else shard.grad.to_local()

    def norm(self) -> Tensor:
        """Norm of the gradient of all shards of all processes."""
        return self.ranks.total(super().norm().square()).sqrt()

    def full(self, weights: Weights) -> Weights:
        """Whole tensors, on the CPU."""
        return {name: _whole(tensor) for name, tensor in weights.items()}

    def part(self, weights: Weights) -> Weights:
        """This process's shards of whole tensors."""
        own = tensors(self.whole)
        return {name: self._shard(tensor, own[name]) for name, tensor in weights.items()}

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """The moments of every parameter whole, on the CPU."""
        return self._mapped(state, lambda value, shard: _whole(_shaped(value, shard)))

    def part_of_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """This process's shards of the moments."""
        return self._mapped(state, lambda value, shard: local(self._shard(value, shard)))

    def _mapped(self, state: dict[str, Any], change: Callable[[Tensor, Any], Tensor]) -> dict[str, Any]:
        changed = {
            number: {k: change(v, self.shards[number]) if v.dim() else v for k, v in values.items()}
            for number, values in state["state"].items()
        }
        return {**state, "state": changed}

    def _shard(self, full: Tensor, like: Any) -> Tensor:
        if not hasattr(like, "to_local"):
            return full
        own = like.to_local()
        first = self.ranks.rank * -(-full.shape[0] // self.ranks.size)
        return _shaped(full[first : first + own.shape[0]].to(own.device), like)


class _Loss(nn.Module):
    """What DistributedDataParallel wraps: a module with all the parameters, though the loss may be a compiled function."""

    def __init__(self, weights: Replicated) -> None:
        super().__init__()
        self.objective, self.call = weights.objective, weights._own_loss

    def forward(self, rows: Batch) -> Tensor:
        """This process's rows -> their mean loss."""
        return self.call(rows)


def _strays(whole: nn.Module) -> list[str]:
    """Names of the buffers of torch's own batch normalisations, each of which measures one process's rows only."""
    return [
        f"{name}.{buffer}"
        for name, module in whole.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for buffer, _ in module.named_buffers(recurse=False)
    ]


def _units(whole: nn.Module) -> list[Transform]:
    """The layers that are gathered one at a time; none when two of them share a parameter."""
    layers = [layer for chain in whole.modules() if isinstance(chain, Chain) for layer in chain.layers]
    units = [
        layer
        for layer in dict.fromkeys(layers)
        if any(True for _ in layer.parameters()) and not any(isinstance(part, Chain) for part in layer.modules())
    ]
    inside = {module for unit in units for module in unit.modules()}
    owners = [set(unit.parameters()) for unit in units]
    owners.append({p for m in whole.modules() if m not in inside for p in m.parameters(recurse=False)})
    return units if len(set().union(*owners)) == sum(map(len, owners)) else []


def _leaves_out(whole: nn.Module, objective: nn.Module, rows: Batch) -> bool:
    """Whether a parameter has no part in the loss of some rows; weights, buffers and random state stay as they are."""
    with rehearsal(whole, rows[0].device):
        loss = objective(rows)
        if loss.requires_grad:
            loss.backward()
        return any(p.requires_grad and p.grad is None for p in whole.parameters())


def _whole(tensor: Any) -> Tensor:
    found: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return found.detach().cpu()


def _shaped(part: Tensor, like: Any) -> Tensor:
    """What this process has of a tensor, as a shard like another one."""
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
