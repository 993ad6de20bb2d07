"""Checks of behaviour: types and shapes, gradients, copies, compilation, side effects, context, bad values."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from pushforward.laws import Adapter
from pushforward.laws.violations import NotApplicable

from ..peers.case import Case
from ..speed.timing import one_line
from .density import worst
from .result import Result, check, within

PROBE = """
import importlib, json, sys, warnings
import numpy, torch, torch.distributions as d, torch.distributions.transforms as t

def refuses_negative_scale():
    try:
        d.Normal(0.0, -1.0)
    except ValueError:
        return True
    return False

def state():
    classes = {"Distribution": d.Distribution, "Normal": d.Normal, "TransformedDistribution": d.TransformedDistribution,
               "Transform": t.Transform, "ComposeTransform": t.ComposeTransform, "transforms": t, "Module": torch.nn.Module,
               "Tensor": torch.Tensor}
    found = {f"{name}.{key}": repr(value) if isinstance(value, (bool, dict)) else id(value)
             for name, owner in classes.items() for key, value in vars(owner).items() if key != "__warningregistry__"}
    found["Normal(0, -1) is refused"] = refuses_negative_scale()
    found["default dtype"] = str(torch.get_default_dtype())
    found["random state of torch"] = hash(torch.get_rng_state().numpy().tobytes())
    found["random state of numpy"] = hash(numpy.random.get_state()[1].tobytes())
    found["threads"] = torch.get_num_threads()
    found["gradients"] = torch.is_grad_enabled()
    # those that touch everybody's warnings; a dependency may add some for its own
    found["warning filters"] = sum(
        1 for _, message, category, module, _ in warnings.filters
        if message is None and module is None and category.__module__ == "builtins"
    )
    return found

before = state()
importlib.import_module(sys.argv[1])
after = state()
print(json.dumps(sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))))
"""


@check("float64")
def double(case: Case) -> Result:
    """A model converted to float64 answers in float64: log_prob, both directions and their log-determinants, samples."""
    flow = case.build(3, dtype=torch.float64)
    x = case.draw(8, 3)
    with torch.no_grad():
        z, there = flow.to_latent(x, None)
        back, inverse_det = flow.to_data(z, None)
        found = {"log_prob": flow.log_prob(x, None), "z": z, "forward log-det": there, "x": back}
        found["samples"] = flow.sample(8, None)
    if inverse_det is not None:
        found["inverse log-det"] = inverse_det
    wrong = [f"{name} is {value.dtype}" for name, value in found.items() if value.dtype != torch.float64]
    return within(len(wrong), 0, "; ".join(wrong))


@check("rows")
def rows_independent(case: Case) -> Result:
    """The log_prob of a row does not depend on the rows beside it (1e-4)."""
    flow = case.build(3)
    x = case.draw(8, 3, dtype=flow.dtype)
    with torch.no_grad():
        alone = torch.cat([flow.log_prob(x[i : i + 1], None).reshape(1) for i in range(8)])
        return within(worst(alone - flow.log_prob(x, None)), 1e-4)


@check("empty")
def empty_batch(case: Case) -> Result:
    """A batch without rows gives (0,)."""
    flow = case.build(3)
    return _shape(flow.log_prob(case.draw(0, 3, dtype=flow.dtype), None), (0,))


@check("batch 4x5")
def batch_shape(case: Case) -> Result:
    """A batch of shape (4, 5) gives (4, 5), and the same values as 20 rows (1e-4)."""
    flow = case.build(3)
    x = case.draw(20, 3, dtype=flow.dtype)
    with torch.no_grad():
        got = flow.log_prob(x.reshape(4, 5, 3), None)
        if tuple(got.shape) != (4, 5):
            return _shape(got, (4, 5))
        return within(worst(got.reshape(20) - flow.log_prob(x, None)), 1e-4)


@check("gradients")
def gradients(case: Case) -> Result:
    """Every trainable parameter gets a finite gradient from the mean log_prob."""
    flow = case.build(3)
    flow.module.train()
    flow.log_prob(case.draw(32, 3, dtype=flow.dtype), None).mean().backward()
    bad = [
        f"{name}: {'none' if p.grad is None else 'not finite'}"
        for name, p in flow.module.named_parameters()
        if p.requires_grad and p.numel() and (p.grad is None or not bool(p.grad.isfinite().all()))
    ]
    return within(len(bad), 0, "; ".join(bad[:2]))


@check("copies")
def copies(case: Case) -> Result:
    """After a density, a gradient and a draw the model can be deep-copied and pickled; the copies give the same log_prob."""
    flow = case.build(3, draws=True)
    x = case.draw(8, 3, dtype=flow.dtype)
    flow.log_prob(x, None).sum().backward()
    flow.sample(4, None)
    with torch.no_grad():
        expected = flow.log_prob(x, None)
        largest = 0.0
        for how, twin in (("deepcopy", copy.deepcopy), ("pickle", lambda m: pickle.loads(pickle.dumps(m)))):
            try:
                other = case.adapter(twin(flow.module), (3,), 0)
            except Exception as error:
                return Result("error", reason=f"{how}: {one_line(error)}")
            largest = max(largest, worst(other.log_prob(x, None) - expected))
    return within(largest, 1e-4)


@check("state")
def state_dict(case: Case) -> Result:
    """A fresh model that loads the state_dict of another gives the other's log_prob (1e-4)."""
    flow, other = case.build(3, seed=0), case.build(3, seed=1)
    x = case.draw(8, 3, dtype=flow.dtype)
    other.module.load_state_dict(flow.module.state_dict())
    with torch.no_grad():
        return within(worst(flow.log_prob(x, None) - other.log_prob(x, None)), 1e-4)


@check("compile", slow=True)
def compiles(case: Case) -> Result:
    """torch.compile(log_prob, fullgraph=True, backend="eager") works and agrees (1e-4)."""
    flow = case.build(3)
    x = case.draw(8, 3, dtype=flow.dtype)
    torch._dynamo.reset()
    compiled = torch.compile(Density(flow), fullgraph=True, backend="eager")
    with torch.no_grad():
        return within(worst(compiled(x) - flow.log_prob(x, None)), 1e-4)


@check("export", slow=True)
def exports(case: Case) -> Result:
    """torch.export with a dynamic batch works, and agrees on a batch of another size (1e-4)."""
    flow = case.build(3)
    x, other = case.draw(8, 3, dtype=flow.dtype), case.draw(5, 3, dtype=flow.dtype)
    with torch.no_grad(), _quiet():
        program = torch.export.export(Density(flow), (x,), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
        return within(worst(program.module()(other) - flow.log_prob(other, None)), 1e-4)


@check("import", slow=True)
def import_is_clean(case: Case) -> Result:
    """Importing the library leaves torch, the random states and the warning filters as they were."""
    done = subprocess.run([sys.executable, "-c", PROBE, case.library], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return Result("error", reason=lines[-1] if lines else "the import failed")
    changed = json.loads(done.stdout.strip().splitlines()[-1])
    return within(len(changed), 0, f"changed: {', '.join(changed[:6])}" if changed else "")


@check("context")
def context_matters(case: Case) -> Result:
    """Every latent coordinate moves with every coordinate of the context (6 layers, D = 3, C = 2)."""
    flow = _conditional(case)
    x, c = case.draw(16, 3, dtype=flow.dtype), torch.randn(16, 2, dtype=flow.dtype)
    with torch.no_grad():
        z = flow.to_latent(x, c)[0]
        moved = [(flow.to_latent(x, c + step)[0] - z).abs().amax(0) for step in torch.eye(2, dtype=flow.dtype)]
    still = int((~(torch.stack(moved) > 1e-6)).sum())
    return within(still, 0, f"{still} of 6 pairs do not move" if still else "")


@check("bad context")
def context_is_demanded(case: Case) -> Result:
    """A missing context, in log_prob and in sample, and one of the wrong length are refused by an error that speaks of it."""
    flow = _conditional(case)
    x = case.draw(8, 3, dtype=flow.dtype)
    calls: dict[str, Callable[[], Tensor]] = {
        "log_prob without": lambda: flow.log_prob(x, None),
        "log_prob with 3 instead of 2": lambda: flow.log_prob(x, torch.zeros(8, 3, dtype=flow.dtype)),
        "sample without": lambda: flow.sample(8, None),
    }
    unclear = [f"{name}: {said}" for name, call in calls.items() if (said := _unclear(call))]
    return within(len(unclear), 0, "; ".join(unclear))


@check("NaN")
def nan_is_seen(case: Case) -> Result:
    """A row with a NaN is refused or has a log_prob that is not finite; it never becomes an ordinary number."""
    flow = case.build(3)
    numbers = []
    for column in range(3):
        x = case.draw(4, 3, dtype=flow.dtype)
        x[1, column] = torch.nan
        try:
            with torch.no_grad():
                logp = flow.log_prob(x, None)
        except Exception:
            continue
        if bool(logp[1].isfinite()):
            numbers.append(f"NaN in column {column} gives {float(logp[1]):.4g}")
    return within(len(numbers), 0, "; ".join(numbers))


class Density(nn.Module):
    """The `log_prob` of an adapter without context as a module's forward, for compilation and export."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-density: (B, D) -> (B,)."""
        return self.adapter.log_prob(x)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what a failed export prints: its whole graph."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _shape(got: Tensor, expected: tuple[int, ...]) -> Result:
    if tuple(got.shape) == expected:
        return within(0, 0)
    return Result("fail", reason=f"expected shape {expected}, got {tuple(got.shape)}")


def _conditional(case: Case) -> Adapter:
    if "context" in case.excused:
        raise NotApplicable(case.excused["context"])
    return case.build(3, 2, layers=6, draws=True)


def _unclear(call: Callable[[], Tensor]) -> str:
    """Return an empty string if the call raises an error that names the context, otherwise what happened instead."""
    try:
        with torch.no_grad():
            got = call()
    except Exception as error:
        said = str(error).lower()
        named = "context" in said or "condition" in said
        return "" if named and "mat1" not in said else one_line(error, 90)
    return f"accepted, shape {tuple(got.shape)}"
