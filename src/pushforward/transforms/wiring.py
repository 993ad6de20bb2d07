"""Layers wired into a graph: values are split, mapped, used as conditions and concatenated; the whole is again one layer.

A value is read as the input of a layer, of a split or of a concatenation once at most, and as a condition any number of times.
The inverse starts from the result and undoes one step after the other, each as soon as its result and its conditions are known.
A graph in which this ends early, such as two layers each given the other's input, has no inverse and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core import Real, Space, Transform, context_space
from ..errors import ContextError, ShapeError, SpecError

Numbers = tuple[int, ...]
Step = tuple[str, int, Numbers, Numbers, Numbers, Numbers]
"""Kind of a step, its layer or dimension, the numbers of its inputs, conditions and results, and the sizes of parts."""
CONTEXT = -1
"""Number of the value that is the context."""


@dataclass(frozen=True)
class Value:
    """Value in a graph of layers, as `LayerGraph` returns it.

    Args:
        number: Number of the value.
        space: Space of the value.
    """

    number: int
    space: Space


class LayerGraph:
    """Builder of a layer from a graph of layers.

        graph = LayerGraph(Real((4,)))
        a, b = graph.split(graph.input, (1, 3))
        b = graph.layer(LU(Real((3,))), b)
        a = graph.layer(Elementwise(Affine(), Real((1,)), context=3), a, given=b)
        layer = graph.build(graph.concatenate(a, b))

    Args:
        space: Space of the data.
        context: Length of the context, 0 for none; or its space.
    """

    def __init__(self, space: Space, *, context: int | Space = 0) -> None:
        self.input = Value(0, space)
        given = context_space(context)
        self.context = None if given is None else Value(CONTEXT, given)
        self._values = [self.input]
        self.steps: list[Step] = []
        self._layers: list[nn.Module] = []
        self._read: set[int] = set()

    def split(self, value: Value, sizes: Sequence[int], dim: int = 0) -> tuple[Value, ...]:
        """Return the parts of a value along a dimension of its events: channels of pictures, or entries of vectors.

        Args:
            value: Value of a space `Real`.
            sizes: Sizes of the parts.
            dim: Dimension of the events.

        Raises:
            ShapeError: The sizes do not add up.
            SpecError: The value has been read before, or its space is not `Real`.
        """
        shape = self._real(value).shape
        self._dimension(shape, dim)
        if sum(sizes) != shape[dim] or min(sizes, default=0) < 1:
            raise ShapeError(f"expected sizes of at least 1 that sum to {shape[dim]}, got {tuple(sizes)}")
        spaces = [Real((*shape[:dim], size, *shape[dim + 1 :])) for size in sizes]
        return self._add("split", dim, (value,), (), spaces, sizes)

    def concatenate(self, *values: Value, dim: int = 0) -> Value:
        """Return values side by side along a dimension of their events.

        Raises:
            ShapeError: Their other dimensions differ.
            SpecError: A value has been read before, or its space is not `Real`.
        """
        shapes = [self._real(value).shape for value in values]
        if not shapes:
            raise ShapeError("expected at least one value, got none")
        for shape in shapes:
            self._dimension(shape, dim)
        if len({(*shape[:dim], *shape[dim + 1 :]) for shape in shapes}) > 1:
            raise ShapeError(f"expected shapes that differ along dimension {dim} alone, got {shapes}")
        sizes = [shape[dim] for shape in shapes]
        space = Real((*shapes[0][:dim], sum(sizes), *shapes[0][dim + 1 :]))
        return self._add("concatenate", dim, values, (), [space], sizes)[0]

    def layer(self, layer: Transform, value: Value, given: Value | Sequence[Value] = ()) -> Value:
        """Return the result of a layer.

        Args:
            layer: Layer whose `x_space` is the space of the value.
            value: Input of the layer.
            given: Context of the layer: one value, or vectors that are concatenated.

        Raises:
            ShapeError: The layer starts in another space.
            ContextError: The layer takes another context.
            SpecError: The value has been read before.
        """
        if layer.x_space != value.space:
            raise ShapeError(f"{type(layer).__name__} starts in {layer.x_space}, the value is in {value.space}")
        conditions = (given,) if isinstance(given, Value) else tuple(given)
        seen = _together([value.space for value in conditions])
        if layer.context != seen:
            raise ContextError(
                f"expected the context of {type(layer).__name__} in {layer.context or 'no space'}, got {seen or 'none'}"
            )
        self._layers.append(layer)
        return self._add("layer", len(self._layers) - 1, (value,), conditions, [layer.z_space])[0]

    def compute(self, network: nn.Module, *values: Value, shape: Sequence[int]) -> Value:
        """Return a condition that a network computes from values, concatenated if there are several; it is not inverted.

        Args:
            network: Module of one tensor.
            values: Inputs of the network; vectors if there are several.
            shape: Shape of its result, without the batch.

        Raises:
            ContextError: There is no value, or some are no vectors.
        """
        if _together([value.space for value in values]) is None:
            raise ContextError("expected at least one value, got none")
        self._layers.append(network)
        return self._add("compute", len(self._layers) - 1, (), values, [Real(tuple(shape))], shape)[0]

    def build(self, value: Value) -> Wired:
        """Return the layer from the input to a value.

        Raises:
            SpecError: Another value is left over, or the graph has no inverse.
        """
        given = 0 if self.context is None else self.context.space
        return Wired(self.input.space, self.steps, self._layers, result=value.number, context=given)

    def repeat(self, step: Step, layers: Sequence[nn.Module]) -> None:
        """Add a step of another graph, with the checks of the method that made it.

        Raises:
            SpecError: The step is none, or reads values that this graph does not have.
        """
        kind, number, inputs, conditions, _, sizes = step
        read, seen = [self._at(value) for value in inputs], [self._at(value) for value in conditions]
        if kind in ("layer", "compute") and not 0 <= number < len(layers):
            raise SpecError(f"expected a number of a layer below {len(layers)}, got {number}")
        if kind == "split" and len(read) == 1:
            self.split(read[0], sizes, number)
        elif kind == "concatenate":
            self.concatenate(*read, dim=number)
        elif kind == "compute":
            self.compute(layers[number], *seen, shape=sizes)
        elif kind == "layer" and len(read) == 1 and isinstance(layer := layers[number], Transform):
            self.layer(layer, read[0], seen)
        else:
            raise SpecError(
                f"expected a split, a concatenation, a layer or a network, got {kind!r} of {len(read)} values"
            )

    def _at(self, number: int) -> Value:
        if number == CONTEXT and self.context is not None:
            return self.context
        if not 0 <= number < len(self._values):
            raise SpecError(f"expected a value of the graph, got number {number}")
        return self._values[number]

    def _real(self, value: Value) -> Space:
        if type(value.space) is not Real:
            raise SpecError(f"expected a value in Real, got one in {value.space}")
        return value.space

    def _dimension(self, shape: tuple[int, ...], dim: int) -> None:
        if not 0 <= dim < len(shape):
            raise ShapeError(f"expected a dimension from 0 to {len(shape) - 1}, got {dim}")

    def _add(
        self,
        kind: str,
        number: int,
        inputs: Sequence[Value],
        conditions: Sequence[Value],
        spaces: Sequence[Space],
        sizes: Sequence[int] = (),
    ) -> tuple[Value, ...]:
        for value in (*inputs, *conditions):
            if value is not self.context and not any(value is own for own in self._values):
                raise SpecError("expected values of this graph, got one of another")
        for value in inputs:
            if value.number in self._read or value is self.context:
                raise SpecError(
                    f"expected a value that no step has read, got value {value.number} again; pass it with `given` to "
                    "condition on it"
                )
        self._read |= {value.number for value in inputs}
        first = len(self._values)
        made = tuple(Value(first + i, space) for i, space in enumerate(spaces))
        self._values += made
        read, seen, given = (tuple(value.number for value in group) for group in (inputs, conditions, made))
        self.steps.append((kind, number, read, seen, given, tuple(sizes)))
        return made


class Wired(Transform):
    """Layer that runs a graph of layers; `LayerGraph` builds it.

    Its dlogp is the sum of those of its layers; splits and concatenations do not change volume.

    Args:
        x_space: Space of the data.
        steps: Steps in running order.
        layers: Layers, and networks that compute conditions, which the steps number.
        result: Number of the value that is the result.
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: A value is left over, or the graph has no inverse; the message names the value.
    """

    def __init__(
        self,
        x_space: Space,
        steps: Sequence[Step],
        layers: Sequence[nn.Module],
        *,
        result: int,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        graph = LayerGraph(x_space, context=context)
        for step in steps:
            graph.repeat(step, layers)
        self.steps = tuple(graph.steps)
        self.x_space, self.z_space, self.context = x_space, graph._at(result).space, context_space(context)
        self.layers: Sequence[Transform] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.result = result
        self.order = self._backwards()

    def _backwards(self) -> list[Step]:
        """Return the steps in the order in which the inverse undoes them; conditions are computed when they can be."""
        flowing = {0} | {value for kind, _, _, _, made, _ in self.steps if kind != "compute" for value in made}
        read = {value for _, _, inputs, _, _, _ in self.steps for value in inputs}
        spare = sorted(flowing - read - {self.result})
        if spare or self.result in read:
            left = f"value {spare[0]}" if spare else "a value that a step has read"
            raise SpecError(f"expected a result that holds everything, got a graph with {left} left over")
        known, waiting, order = {self.result, CONTEXT}, list(self.steps), list[Step]()
        while waiting:
            for step in waiting:
                kind, _, inputs, conditions, made, _ = step
                if known.issuperset(conditions) and (kind == "compute" or known.issuperset(made)):
                    known.update(made if kind == "compute" else inputs)
                    order.append(step)
                    waiting.remove(step)
                    break
            else:
                missing = min(set(waiting[-1][3]) - known, default=waiting[-1][4][0])
                raise SpecError(
                    f"expected a graph that can be inverted; value {missing} is a condition that is known only after the "
                    "step that it conditions"
                )
        return order

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the steps in order: (B, *x_space.shape) -> (B, *z_space.shape), dlogp (B,) in nats."""
        values, total = self._start(0, x, context)
        for kind, number, inputs, conditions, made, sizes in self.steps:
            if kind == "split":
                values.update(zip(made, values[inputs[0]].split(sizes, number + 1), strict=True))
            elif kind == "concatenate":
                values[made[0]] = torch.cat([values[value] for value in inputs], number + 1)
            elif kind == "compute":
                values[made[0]] = self.layers[number](_joined(values, conditions))
            else:
                values[made[0]], dlogp = self.layers[number](values[inputs[0]], _joined(values, conditions))
                total = total + dlogp
        return values[self.result], total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo the steps, each when its result and its conditions are known: z -> x, dlogp (B,) in nats."""
        values, total = self._start(self.result, z, context)
        for kind, number, inputs, conditions, made, sizes in self.order:
            if kind == "split":
                values[inputs[0]] = torch.cat([values[value] for value in made], number + 1)
            elif kind == "concatenate":
                values.update(zip(inputs, values[made[0]].split(sizes, number + 1), strict=True))
            elif kind == "compute":
                values[made[0]] = self.layers[number](_joined(values, conditions))
            else:
                values[inputs[0]], dlogp = self.layers[number].inverse(values[made[0]], _joined(values, conditions))
                total = total + dlogp
        return values[0], total

    def _start(self, number: int, v: Tensor, context: Tensor | None) -> tuple[dict[int, Tensor], Tensor]:
        values = {number: v}
        if context is not None:
            values[CONTEXT] = context
        return values, self._nothing(v)


def _together(spaces: Sequence[Space]) -> Space | None:
    """Return the space of conditions side by side; None if there are none.

    Raises:
        ContextError: There are several, and some are no vectors.
    """
    if len(spaces) < 2:
        return spaces[0] if spaces else None
    if any(len(space.shape) != 1 or space.discrete for space in spaces):
        raise ContextError("expected vectors of numbers as several conditions; concatenate other ones in a network")
    return Real((sum(space.shape[0] for space in spaces),))


def _joined(values: dict[int, Tensor], conditions: Numbers) -> Tensor | None:
    """Return conditions side by side, or None if there are none."""
    found = [values[number] for number in conditions]
    if len(found) < 2:
        return found[0] if found else None
    return torch.cat(found, 1)
