"""Laws about shapes, batches, dtypes, side effects, state and errors."""

from __future__ import annotations

import copy
import io
import json
import pickle

import torch
from torch import Tensor

from ..core import Chain, Distribution, Exactness, Flow, Identity, Inverse, Node, Real, Transform
from ..errors import ContextError, DomainError, FlowError, ShapeError
from ..systems.spec import spec_from_dict
from .cases import Case, distributions_in, draw, draw_context, transforms_in
from .violations import LawBroken, NotApplicable, require, require_close

ROWS = 6


def seeded(node: Node, x: Tensor, context: Tensor | None, seed: int = 1) -> Tensor:
    """Return log_prob of a distribution or dlogp of a layer, computed with a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return node.log_prob(x, context) if isinstance(node, Distribution) else node(x, context)[1]


def example(case: Case, dtype: torch.dtype = torch.float64, n: int = ROWS) -> tuple[Node, Tensor, Tensor | None]:
    """Return a node with random data and context from its spaces."""
    node = case.build(dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        side = "space" if isinstance(node, Distribution) else "x_space"
        return node, draw(node, side, n, dtype), draw_context(node, n, dtype)


def law_shapes(case: Case) -> None:
    """Check that events and log-densities have the declared shapes, also for zero rows."""
    for n in (ROWS, 0):
        node, x, c = example(case, n=n)
        for layer in transforms_in(node):
            cx, cc = draw(layer, "x_space", n, torch.float64), draw_context(layer, n, torch.float64)
            z, dlogp = layer(cx, cc)
            back, dback = layer.inverse(z, cc)
            require(tuple(z.shape) == (n, *layer.z_space.shape), f"{_name(layer)}: z {tuple(z.shape)} for {n} rows")
            require(tuple(back.shape) == (n, *layer.x_space.shape), f"{_name(layer)}: x {tuple(back.shape)}")
            require(dlogp.shape == dback.shape == (n,), f"{_name(layer)}: dlogp {tuple(dlogp.shape)}")
            require(bool(dlogp.isfinite().all()), f"{_name(layer)}: dlogp is not finite")
            require(bool(layer.z_space.contains(z).all()), f"{_name(layer)}: z leaves {layer.z_space}")
        if isinstance(node, Distribution):
            logp = node.log_prob(x, c)
            require(logp.shape == (n,) and bool(logp.isfinite().all()), f"log_prob {tuple(logp.shape)} or not finite")
            s, slogp = node.sample_and_log_prob(
                (n,), None if c is None else c[:1].expand(1, *c.shape[1:])[0] if n else c[0:0].new_zeros(c.shape[1:])
            )
            require(tuple(s.shape) == (n, *node.space.shape) and slogp.shape == (n,), f"sample {tuple(s.shape)}")
            require(bool(node.space.contains(s).all()), "a sample leaves the space")


def law_batches(case: Case) -> None:
    """Check that every leading batch shape gives the same numbers, and that one context row serves many events."""
    node, x, c = example(case)
    if not isinstance(node, Distribution) or Exactness.NOISY in node.exactness:
        raise NotApplicable("needs a deterministic log_prob")
    flat = node.log_prob(x, c)
    grid = node.log_prob(x.reshape(2, 3, *x.shape[1:]), None if c is None else c.reshape(2, 3, *c.shape[1:]))
    require_close(grid.flatten(), flat, 1e-10, "batch (2, 3) against 6")
    one = node.log_prob(x[0], None if c is None else c[0])
    require_close(one, flat[0], 1e-10, "no batch against row 0")
    if c is not None:
        require_close(node.log_prob(x, c[0]), node.log_prob(x, c[:1].expand_as(c)), 1e-10, "one context for all rows")
        require(
            tuple(node.sample((4,), c).shape) == (4, ROWS, *node.space.shape), "sample((4,), c) is not (4, rows, ...)"
        )
        at = node.at(c)
        require(tuple(at.batch_shape) == (ROWS,), f"at(c) has batch shape {tuple(at.batch_shape)}")
        require_close(at.log_prob(x), flat, 1e-10, "at(c).log_prob against log_prob")


def law_rows_independent(case: Case) -> None:
    """Check that a row alone gives the same result as in a batch."""
    node, x, c = example(case)
    if Exactness.NOISY in node.exactness:
        raise NotApplicable("random")
    whole = seeded(node, x, c)
    for i in range(ROWS):
        require_close(
            seeded(node, x[i : i + 1], None if c is None else c[i : i + 1]), whole[i : i + 1], 1e-10, f"row {i}"
        )


def law_dtype(case: Case) -> None:
    """Check that every node keeps float32 and float64, in both directions and in sampling."""
    for dtype in (torch.float32, torch.float64):
        node = case.build(dtype)
        for layer in transforms_in(node):
            x, c = draw(layer, "x_space", 3, dtype), draw_context(layer, 3, dtype)
            z, dlogp = layer(x, c)
            back, dback = layer.inverse(z, c)
            for name, value in (("dlogp", dlogp), ("inverse's dlogp", dback)):
                require(value.dtype == dtype, f"{_name(layer)}: {name} is {value.dtype} in {dtype}")
            for space, value in ((layer.z_space, z), (layer.x_space, back)):
                require(value.dtype == space.event_dtype(dtype), f"{_name(layer)}: event is {value.dtype} in {dtype}")
        for dist in distributions_in(node):
            x, logp = dist.sample_and_log_prob(3, None if dist.context is None else draw_context(dist, 1, dtype)[0])  # type: ignore[index]
            require(x.dtype == dist.space.event_dtype(dtype), f"{_name(dist)}: sample is {x.dtype} in {dtype}")
            require(logp.dtype == dtype, f"{_name(dist)}: log-density is {logp.dtype} in {dtype}")


def law_pure(case: Case) -> None:
    """Check that evaluation changes no input, parameter or buffer, and that a seed determines the result."""
    node, x, c = example(case)
    before, x0 = copy.deepcopy(node.state_dict()), x.clone()
    first = seeded(node, x, c)
    require(torch.equal(seeded(node, x, c), first), "the same seed gives another result")
    if isinstance(node, Distribution):
        node.sample(3, None if c is None else c[0])
    elif isinstance(node, Transform):
        node.inverse(draw(node, "z_space", ROWS, torch.float64), c)
    require(torch.equal(x, x0), "the input was changed")
    for key, value in node.state_dict().items():
        require(torch.equal(value, before[key]), f"{key} was changed")


def law_training_mode(case: Case) -> None:
    """Check that in training mode the two directions of an exact layer still invert each other, with opposite dlogp."""
    node = case.build()
    found = False
    for layer in transforms_in(node):
        if layer.exactness or isinstance(layer, Chain):
            continue
        found = True
        layer.train()
        x, c = draw(layer, "x_space", 64, torch.float64), draw_context(layer, 64, torch.float64)
        z, dlogp = layer(x, c)
        back, dback = layer.inverse(z, c)
        if layer.one_to_one and layer.z_space.size == layer.x_space.size:
            require_close(back, x, 1e-6, f"{_name(layer)} in training: inverse(forward(x))")
            require_close(dback, -dlogp, 1e-6, f"{_name(layer)} in training: contributions")
        layer.eval()
    if not found:
        raise NotApplicable("no exact layer")


def law_running_averages(case: Case) -> None:
    """Check that running averages converge: after many batches evaluation agrees with training."""
    node = case.build()
    found = False
    for layer in transforms_in(node):
        averages = [name for name, _ in layer.named_buffers(recurse=False) if name in {"mean", "variance"}]
        if not averages:
            continue
        found = True
        x = 2.0 + 3.0 * torch.randn(512, *layer.x_space.shape, dtype=torch.float64)
        layer.train()
        for _ in range(300):
            layer(x)
        z_train = layer(x)[0]
        layer.eval()
        z, dlogp = layer(x)
        expected = -x.std(0, unbiased=False).log().sum().expand(len(x))
        if layer.mean.shape != layer.x_space.shape:
            # One average for all positions of a channel.
            rows = _channel_rows(x)
            expected = -(x[0].numel() // rows.shape[1] * rows.std(0, unbiased=False).log().sum()).expand(len(x))
            z, z_train = _channel_rows(z), _channel_rows(z_train)
        require_close(z, z_train, 1e-6, f"{_name(layer)}: evaluation against training after 300 batches")
        require_close(z.mean(0), torch.zeros_like(z[0]), 1e-4, f"{_name(layer)}: mean of z")
        require_close(z.std(0, unbiased=False), torch.ones_like(z[0]), 1e-3, f"{_name(layer)}: deviation of z")
        require_close(dlogp, expected, 1e-3, f"{_name(layer)}: dlogp against the data's deviation")
    if not found:
        raise NotApplicable("no running averages")


def _channel_rows(x: Tensor) -> Tensor:
    """Return every position of every image as a row of channels: (B, C, ...) -> (B P, C)."""
    return x.movedim(1, -1).flatten(0, -2)


def law_start(case: Case) -> None:
    """Check that layers with a start from data map the batch to mean 0 and deviation 1."""
    found = False
    for layer in transforms_in(case.build()):
        before = copy.deepcopy(layer.state_dict())
        x = 2.0 + 3.0 * torch.randn(512, *layer.x_space.shape, dtype=torch.float64)
        if type(layer.x_space) is not Real or isinstance(layer, Chain) or layer.context is not None or layer.draws_back:
            continue
        if not layer.standardises:
            continue
        with torch.no_grad():
            layer.init_from(x)
            if all(torch.equal(value, before[key]) for key, value in layer.state_dict().items()):
                continue
            z = layer(x)[0]
        if z.shape == x.shape:
            found = True
            measured = [t for name in ("loc", "mean") if (t := getattr(layer, name, None)) is not None]
            if measured and measured[0].shape != z.shape[1:]:
                # One mean and deviation for all positions of a channel.
                z = _channel_rows(z)
            require_close(z.mean(0), torch.zeros_like(z[0]), 1e-4, f"{_name(layer)}: mean after the start")
            require_close(z.std(0, unbiased=False), torch.ones_like(z[0]), 1e-3, f"{_name(layer)}: deviation after it")
    if not found:
        raise NotApplicable("nothing starts from data")


def law_state(case: Case) -> None:
    """Check that state_dict (loaded with weights_only), pickle and deepcopy restore a node, also after a forward."""
    node, x, c = example(case)
    reference = seeded(node, x, c)
    for label, other in (("pickle", pickle.loads(pickle.dumps(node))), ("deepcopy", copy.deepcopy(node))):
        require(torch.equal(seeded(other, x, c), reference), f"{label} after a forward changes the result")
    file = io.BytesIO()
    torch.save(node.state_dict(), file)
    file.seek(0)
    fresh = case.build(seed=5)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    require(torch.equal(seeded(fresh, x, c), reference), "state_dict does not hold the whole state")


def law_spec(case: Case) -> None:
    """Check that a system's description survives JSON, and that unknown fields raise an error."""
    if case.spec is None:
        raise NotApplicable("not a system")
    again = spec_from_dict(json.loads(json.dumps(case.spec.to_dict())))
    require(again == case.spec, f"JSON round trip gives {again}")
    _raises(lambda: spec_from_dict({**case.spec.to_dict(), "no_such_field": 1}), FlowError, "an unknown field")


def law_bad_input(case: Case) -> None:
    """Check that each wrong input raises its own error with an informative message."""
    node, x, c = example(case)
    if not isinstance(node, Distribution):
        raise NotApplicable("layers do not check their inputs")
    wrong = torch.zeros((ROWS, *(s + 1 for s in node.space.shape)), dtype=x.dtype)
    _raises(lambda: node.log_prob(wrong, c), ShapeError, "an event of the wrong shape")
    _raises(lambda: node.log_prob(x.tolist(), c), DomainError, "a list")  # type: ignore[arg-type]
    if x.is_floating_point() and not node.space.discrete:
        _raises(lambda: node.log_prob(x.float(), c), DomainError, "float32 data in a float64 model")
        for value in (torch.nan, torch.inf):
            bad = x.clone()
            bad[2, ..., 0] = value
            _raises(lambda bad=bad: node.log_prob(bad, c), DomainError, f"{value} in x")
    if c is None:
        _raises(
            lambda: node.log_prob(x, torch.zeros(ROWS, 3, dtype=torch.float64)), ContextError, "a context not wanted"
        )
        _raises(lambda: node.sample(2, torch.zeros(3, dtype=torch.float64)), ContextError, "a context not wanted")
    else:
        _raises(lambda: node.log_prob(x), ContextError, "no context")
        _raises(lambda: node.sample(2), ContextError, "no context when sampling")
        if c.dim() > 1:
            _raises(lambda: node.log_prob(x, c[:, :-1]), ContextError, "a context of the wrong length")
        if c.is_floating_point():
            _raises(lambda: node.log_prob(x, c.float()), ContextError, "a float32 context in a float64 model")
            _raises(lambda: node.log_prob(x, torch.full_like(c, torch.nan)), DomainError, "a NaN context")
        _raises(lambda: node.log_prob(x, c[:4]), ContextError, "a context with another batch shape")


def law_outside_support(case: Case) -> None:
    """Check that log_prob is -inf outside a bounded support, and that the other rows do not change."""
    node, x, c = example(case)
    if not isinstance(node, Distribution) or not node.space.bounded:
        raise NotApplicable("unbounded")
    bad = x.clone()
    bad[2] = 1000.5 if bad.is_floating_point() else 1000
    if bool(node.space.contains(bad)[2]):
        raise NotApplicable("1000.5 is inside")
    logp, reference = seeded(node, bad, c).detach(), seeded(node, x, c)
    require(bool(torch.isneginf(logp[2])), f"log_prob outside the support is {float(logp[2])}")
    if Exactness.NOISY not in node.exactness:
        keep = [i for i in range(ROWS) if i != 2]
        require_close(logp[keep], reference[keep], 1e-10, "rows beside one outside the support")


def law_inverse_flips(case: Case) -> None:
    """Check that `Inverse` exchanges a layer's spaces and bounds, and that a second `Inverse` restores them.

    The inverse of a surjection draws, so it is a lower bound in any case.
    """
    for layer in transforms_in(case.build()):
        turned = Inverse(layer)
        require((turned.x_space, turned.z_space) == (layer.z_space, layer.x_space), f"{_name(layer)}: spaces")
        drawn = (
            Exactness.NOISY | Exactness.LOWER
            if layer.draws_back and not isinstance(layer, Inverse)
            else Exactness.EXACT
        )
        require(
            isinstance(layer, Inverse) or turned.exactness == layer.exactness.flipped | drawn,
            f"{_name(layer)}: exactness",
        )
        require(Inverse(turned).exactness == layer.exactness, f"{_name(layer)}: twice")
        if layer.exactness == Exactness.NOISY | Exactness.LOWER and not layer.draws_back:
            require(turned.exactness == Exactness.NOISY | Exactness.UPPER, f"{_name(layer)}: {turned.exactness}")


def law_exactness_is_derived(case: Case) -> None:
    """Check that a node is exact only if all of its parts are, and that a flow around it has the same exactness."""
    node = case.build()
    for part in node.modules():
        if isinstance(part, Node) and part.exactness:
            require(bool(node.exactness), f"{_name(part)} is {part.exactness}, but the whole is declared exact")
    if isinstance(node, Distribution):
        require(Flow(Identity(node.space), node).exactness == node.exactness, "a flow around it has another exactness")


def _name(node: Node) -> str:
    return type(node).__name__


def _raises(call: object, error: type[FlowError], what: str) -> None:
    try:
        call()  # type: ignore[operator]
    except error as e:
        require(len(str(e)) > 15, f"{what}: the message {str(e)!r} is too short to help")
    except Exception as e:
        raise LawBroken(f"{what}: expected {error.__name__}, got {type(e).__name__}: {e}") from e
    else:
        raise LawBroken(f"{what} raises nothing, expected {error.__name__}")
