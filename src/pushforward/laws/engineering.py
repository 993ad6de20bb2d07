"""Laws about gradients, compilation, export, function transforms and model files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core import Distribution, Exactness, Flow
from ..serialize import load, save
from .cases import Case, draw_context
from .interface import example, seeded
from .violations import NotApplicable, require, require_close


def _model(case: Case) -> tuple[Distribution, Tensor, Tensor | None]:
    node, x, c = example(case)
    if not isinstance(node, Distribution):
        raise NotApplicable("a layer")
    return node, x, c


def law_gradients(case: Case) -> None:
    """Check that log_prob gives every parameter a finite gradient."""
    node, x, c = example(case, n=64)
    value = node.log_prob(x, c) if isinstance(node, Distribution) else torch.cat([t.flatten() for t in node(x, c)])
    if not any(p.requires_grad for p in node.parameters()):
        raise NotApplicable("no parameters")
    (value * torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)).sum().backward()
    for name, p in node.named_parameters():
        if not p.requires_grad:
            continue
        require(p.grad is not None, f"{name} gets no gradient")
        require(bool(p.grad.isfinite().all()), f"{name} gets a gradient that is not finite")  # type: ignore[union-attr]


def law_gradients_of_samples(case: Case) -> None:
    """Check that samples of an exact continuous flow carry finite gradients to every parameter of its chain."""
    node, _, c = _model(case)
    if node.space.discrete or node.exactness or not isinstance(node, Flow):
        raise NotApplicable("not an exact continuous flow")
    if not any(True for _ in node.chain.parameters()):
        raise NotApplicable("no layer has parameters")
    given = None if c is None else c[0]
    x, logp = node.rsample_and_log_prob(32, given)
    (x.flatten(1).square().sum(1) + logp).sum().backward()
    drawn = {name: p.grad for name, p in node.chain.named_parameters()}
    node.zero_grad()
    node.log_prob(x.detach(), given).sum().backward()
    for name, p in node.chain.named_parameters():
        if not p.requires_grad:
            continue
        gradient = drawn[name]
        require(
            gradient is None or bool(gradient.isfinite().all()), f"{name}: the gradient through rsample is not finite"
        )
        # Whether log_prob gives every parameter a gradient is another law.
        unused = p.grad is None or not bool(p.grad.any())
        require(gradient is not None or unused, f"{name}: no gradient through rsample")


def law_score(case: Case) -> None:
    """Check that vmap(grad) of log_prob, row by row, equals autograd's gradient of the whole batch."""
    node, x, c = _model(case)
    if Exactness.NOISY in node.exactness or node.space.discrete or node.space.bounded:
        raise NotApplicable("needs a deterministic, unbounded, continuous density")

    def one(v: Tensor, given: Tensor | None = None) -> Tensor:
        return node.log_prob(v[None], None if given is None else given[None])[0]

    rows = torch.func.vmap(torch.func.grad(one))(x) if c is None else torch.func.vmap(torch.func.grad(one))(x, c)
    leaf = x.clone().requires_grad_()
    (whole,) = torch.autograd.grad(node.log_prob(leaf, c).sum(), leaf)
    require_close(rows, whole, 1e-8, "vmap(grad) and autograd")


def law_one_file(case: Case) -> None:
    """Check that a system that is saved and loaded again gives the same numbers, bit for bit."""
    if case.spec is None:
        raise NotApplicable("not a system")
    node, x, c = _model(case)
    reference = seeded(node, x, c)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.flow"
        save(path, node, spec=case.spec)
        saved = load(path)
    require(saved.spec == case.spec, f"the file's spec is {saved.spec}")
    require(torch.equal(seeded(saved.model.eval(), x, c), reference), "the loaded model gives other numbers")


class _LogProb(nn.Module):
    def __init__(self, node: Distribution) -> None:
        super().__init__()
        self.node = node

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log_prob, as the function to compile or export."""
        return self.node.log_prob(x, context)


def law_compile(case: Case) -> None:
    """Check that torch.compile(fullgraph=True) compiles log_prob, with the same numbers and gradients."""
    node, x, c = _model(case)
    torch._dynamo.reset()
    compiled = torch.compile(_LogProb(node), fullgraph=True, backend="aot_eager_default_partitioner")
    got = compiled(x, c)
    if Exactness.NOISY in node.exactness:
        require(got.shape == (len(x),) and bool(got.isfinite().all()), "compiled log_prob has another shape")
        return
    value = node.log_prob(x, c)
    require_close(got, value, 1e-9, "compiled and eager log_prob")
    parameters = {name: p for name, p in node.named_parameters() if p.requires_grad}
    if not parameters:
        return
    weights = torch.linspace(0.5, 1.5, len(x), dtype=value.dtype)
    found, expected = (
        torch.autograd.grad((weights * v).sum(), tuple(parameters.values()), materialize_grads=True)
        for v in (got, value)
    )
    for name, of_compiled, of_eager in zip(parameters, found, expected, strict=True):
        scale = 1 + float(of_eager.abs().max())
        require_close(of_compiled / scale, of_eager / scale, 1e-9, f"gradients of {name}, compiled and eager")


def law_export(case: Case) -> None:
    """Check that torch.export exports log_prob with a dynamic batch, with the same numbers at another batch size."""
    node, x, c = _model(case)
    batch = torch.export.Dim("batch", min=2, max=4096)
    given = (x,) if c is None else (x, c)
    with torch.no_grad():
        program = torch.export.export(_LogProb(node), given, dynamic_shapes=tuple({0: batch} for _ in given))
    more = torch.cat([x, x[:3]])
    cc = () if c is None else (torch.cat([c, c[:3]]),)
    got = program.module()(more, *cc)
    require(got.shape == (len(more),), f"exported log_prob has shape {tuple(got.shape)}")
    if Exactness.NOISY not in node.exactness:
        require_close(got, node.log_prob(more, *cc), 1e-8, "exported and eager log_prob")


def law_embedding_runs_once(case: Case) -> None:
    """Check that `at(context)` runs the network of the context once, however often its result is used."""
    node, x, c = _model(case)
    embed = getattr(node, "embed", None)
    if embed is None:
        raise NotApplicable("no embedding network")
    calls: list[int] = []
    handle = embed.register_forward_hook(lambda *_: calls.append(1))
    at = node.at(c)
    torch.manual_seed(1)
    first = at.log_prob(x)
    at.sample((2,))
    handle.remove()
    require(len(calls) == 1, f"the embedding network ran {len(calls)} times")
    require_close(first, seeded(node, x, c, seed=1), 1e-10, "at(c).log_prob and log_prob")
    require(draw_context(node, 1, torch.float64) is not None, "an embedded flow takes a context")
