"""Faults planted in the formulas, to test the laws themselves: every one must make a law fail.

Each mutant is a small textual change of one source file. The runner copies the package, applies the change, and runs the
laws on the cases named; a mutant that survives is a hole in the laws.
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Args:
        name: what is wrong.
        file: path below the package.
        changes: (old, new) pairs; every old text occurs exactly once.
        cases: regular expression of the cases whose laws must fail.
    """

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    cases: str


def _m(name: str, file: str, cases: str, *changes: tuple[str, str]) -> Mutant:
    return Mutant(name, file, changes, cases)


SCALAR, SPLINE, LOGISTIC = "transforms/scalar.py", "functional/splines.py", "functional/logistic.py"
LINEAR, NORMALISE, MADE = "transforms/linear.py", "transforms/normalise.py", "networks/made.py"
COUPLING, AUTOREGRESSIVE, ELEMENTWISE = (f"transforms/{n}.py" for n in ("coupling", "autoregressive", "elementwise"))
BOUNDED, STOCHASTIC, SURJECTIVE = (f"transforms/{n}.py" for n in ("bounded", "stochastic", "surjective"))
FACTORISED, BASE, COMPOSE, SPACE = "distributions/factorised.py", "core/base.py", "core/compose.py", "core/space.py"
CATEGORICAL, INTEGER, CONDITIONAL = (f"distributions/{n}.py" for n in ("categorical", "integer", "conditional"))

MUTANTS: list[Mutant] = [
    _m("affine log-determinant doubled, both ways", SCALAR, "realnvp-0|maf-0|affine$",
       ("return x * s.exp() + p[..., 1], s\n", "return x * s.exp() + p[..., 1], 2 * s\n"),
       ("return (z - p[..., 1]) * (-s).exp(), -s\n", "return (z - p[..., 1]) * (-s).exp(), -2 * s\n")),
    _m("affine log-determinant sign, both ways", SCALAR, "realnvp-0",
       ("return x * s.exp() + p[..., 1], s\n", "return x * s.exp() + p[..., 1], -s\n"),
       ("return (z - p[..., 1]) * (-s).exp(), -s\n", "return (z - p[..., 1]) * (-s).exp(), s\n")),
    _m("affine inverse adds the shift", SCALAR, "realnvp-0",
       ("return (z - p[..., 1]) * (-s).exp(), -s\n", "return (z + p[..., 1]) * (-s).exp(), -s\n")),
    _m("affine inverse forgets its contribution", SCALAR, "realnvp-0",
       ("return (z - p[..., 1]) * (-s).exp(), -s\n", "return (z - p[..., 1]) * (-s).exp(), 0 * s\n")),
    _m("additive inverse adds", SCALAR, "nice-0", ("return z - p[..., 0], torch.zeros_like(z)\n", "return z + p[..., 0], torch.zeros_like(z)\n")),
    _m("gate: log of the complement", SCALAR, "iaf-0|gated-affine", ("return s.sigmoid(), F.logsigmoid(s)", "return s.sigmoid(), F.logsigmoid(-s)")),
    _m("gate: mean not weighted on the way back", SCALAR, "iaf-0|gated-affine", ("return (z - (1 - gate) * p[..., 1]) / gate", "return (z - p[..., 1]) / gate")),
    _m("rounded shift does not round on the way back", SCALAR, "rounded-shift", ("return z - round_through(p[..., 0])", "return z - p[..., 0]")),
    _m("rounded shift with a spurious volume", SCALAR, "rounded-shift",
       ("return x + round_through(p[..., 0]), torch.zeros_like(x)", "return x + round_through(p[..., 0]), torch.zeros_like(x) + 0.1"),
       ("return z - round_through(p[..., 0]), torch.zeros_like(z)", "return z - round_through(p[..., 0]), torch.zeros_like(z) - 0.1")),
    _m("straight-through rounding without its gradient", "functional/bounds.py", "rounded-shift", ("return t.round().detach() + (t - t.detach())", "return t.round().detach()")),
    _m("spline log-slope doubled, both ways", SPLINE, "nsf-0|spline$", ("log_slope = slope.log() - 2 * denominator.log()", "log_slope = 2 * (slope.log() - 2 * denominator.log())")),
    _m("spline log-slope without the denominator's square", SPLINE, "nsf-0|spline$", ("slope.log() - 2 * denominator.log()", "slope.log() - denominator.log()")),
    _m("spline slope: end derivatives swapped", SPLINE, "nsf-0|spline$", ("(d1 * t.square() + 2 * s * mixed + d0 * (1 - t).square())", "(d0 * t.square() + 2 * s * mixed + d1 * (1 - t).square())")),
    _m("spline slope: middle term once", SPLINE, "nsf-0|spline$", ("(d1 * t.square() + 2 * s * mixed", "(d1 * t.square() + s * mixed")),
    _m("spline value: d1 instead of d0", SPLINE, "nsf-0|spline$", ("(s * t.square() + d0 * mixed) / denominator", "(s * t.square() + d1 * mixed) / denominator")),
    _m("spline curvature: one s", SPLINE, "nsf-0|spline$", ("curve = d0 + d1 - 2 * s", "curve = d0 + d1 - s")),
    _m("spline inverse: wrong quadratic coefficient", SPLINE, "nsf-0|spline$", ("a = h * (s - d0) + dy * curve", "a = h * (s - d0) - dy * curve")),
    _m("spline inverse: other root", SPLINE, "nsf-0|spline$", ("t = 2 * c / (b + (b.square()", "t = 2 * c / (b - (b.square()")),
    _m("spline inverse: contribution not negated", SPLINE, "nsf-0|spline$", ("return x0 + w * t, -log_slope", "return x0 + w * t, log_slope")),
    _m("spline bins found on the wrong side", SPLINE, "nsf-0|spline$", ("knots = y_knots if inverse else x_knots", "knots = x_knots")),
    _m("spline tails vanish: outside goes to zero", SPLINE, "nsf-0|spline$", ("return torch.where(inside, image, v)", "return torch.where(inside, image, 0.0)")),
    _m("spline tails carry the spline's slope", SPLINE, "spline$|nsf-0", ("torch.where(inside, log_slope, 0.0)", "log_slope + 0.5 * (~inside)")),
    _m("spline boundary slope is not one", SPLINE, "nsf-0|spline$", ("(1, 1), value=1.0)", "(1, 1), value=1.5)"), ("log_slope, 0.0)", "log_slope, math.log(1.5))"), ("import torch\n", "import math\n\nimport torch\n")),
    _m("logistic mixture: survival term dropped", LOGISTIC, "logistic-mixture", ("log_density - log_cdf - log_survival", "log_density - log_cdf")),
    _m("logistic mixture: scale missing in the density", LOGISTIC, "logistic-mixture", ("below + above - log_scales", "below + above")),
    _m("logistic mixture: inverse contribution sign", LOGISTIC, "logistic-mixture", ("return x, -mixture_logit_cdf(", "return x, mixture_logit_cdf(")),
    _m("logistic mixture: no gradient through the root", LOGISTIC, "logistic-mixture", ("if torch.is_grad_enabled():", "if False:")),
    _m("root finder stops after three steps", "functional/roots.py", "logistic-mixture", ("for _ in range(iterations):", "for _ in range(3):")),
    _m("element-wise: contributions averaged instead of summed", "functional/bounds.py", "affine$|realnvp-3", ("t.flatten(1).sum(1)", "t.flatten(1).mean(1)")),
    _m("element-wise ignores its context", ELEMENTWISE, "elementwise-context", ("return self.free + self.net(", "return self.free + 0 * self.net(")),
    _m("coupling ignores the context", COUPLING, "realnvp-1|nsf-3", ("return self.net(a, context).unflatten", "return self.net(a, None if context is None else 0 * context).unflatten")),
    _m("coupling conditions on what it maps", COUPLING, "realnvp-0", ("self._parameters_of(a, context))\n        return self._join(a, b), sum_events(slopes)\n\n    def inverse", "self._parameters_of(b[:, : a.shape[1]], context))\n        return self._join(a, b), sum_events(slopes)\n\n    def inverse")),
    _m("coupling joins in the wrong order", COUPLING, "coupling-random|realnvp-3|alternating", ("return v if self.contiguous else v[:, self.back]", "return v")),
    _m("second half is never mapped", COUPLING, "realnvp-1|nsf-3", ("return [not keep for keep in mask] if flip and features > 1 else mask\n\n\ndef alternating", "return mask\n\n\ndef alternating")),
    _m("MADE output mask not strict", MADE, "made-0|maf-0", ("rank.repeat_interleave(n)[:, None] > before[None]", "rank.repeat_interleave(n)[:, None] >= before[None]")),
    _m("MADE hidden mask too wide", MADE, "maf-2|autoregressive-residual", ("degree[:, None] >= before[None]", "degree[:, None] + 1 >= before[None]")),
    _m("MADE: weights not masked", MADE, "made-0|maf-0", ("return self.weight * self.mask", "return self.weight")),
    _m("MADE: first feature cannot see the context", MADE, "maf-1|made-1", ("lowest = -1 if context or features == 1 else 0", "lowest = 0")),
    _m("MADE: context enters with the wrong sign when unrolled", MADE, "maf-1", ("self.hidden[0].bias[:, None], self.embed.weight, context.mT", "self.hidden[0].bias[:, None], self.embed.weight, -context.mT")),
    _m("MADE: unrolling loses the residual connection", MADE, "autoregressive-residual|nsf-4", ("raw = raw + skips[i // 2 - 1].get(lo, hi)", "raw = raw + 0 * skips[i // 2 - 1].get(lo, hi)")),
    _m("MADE: unrolling forgets units of the block's start", MADE, "maf-2|nsf-4", ("weight[lo:hi, :seen], source.get(0, seen)) if seen", "weight[lo:hi, :seen], 0 * source.get(0, seen)) if seen")),
    _m("MADE: unrolled features in rank order", MADE, "made-1|maf-2", ("return x[:, self.order].flatten(1)", "return x.flatten(1)")),
    _m("autoregressive inverse drops a coordinate's contribution", AUTOREGRESSIVE, "maf-0", ("torch.stack(slopes).sum(0)", "torch.stack(slopes[1:]).sum(0)")),
    _m("Jacobi iteration stops one sweep early", "functional/fixed_point.py", "autoregressive-jacobi", ("for _ in range(depth):", "for _ in range(depth - 1):")),
    _m("permutation not undone", LINEAR, "permutation", ("return z[:, self.back]", "return z[:, self.order]")),
    _m("diagonal contributes one scale only", LINEAR, "nice-0|diagonal",
       ("self.log_scale.sum().expand(x.shape[0])", "self.log_scale[0].expand(x.shape[0])"), ("-self.log_scale.sum().expand(z.shape[0])", "-self.log_scale[0].expand(z.shape[0])")),
    _m("LU log-determinant dropped, both ways", LINEAR, "lu|nsf-0",
       ("self.log_diagonal.sum().expand(x.shape[0])", "0 * self.log_diagonal.sum().expand(x.shape[0])"), ("-self.log_diagonal.sum().expand(z.shape[0])", "-0 * self.log_diagonal.sum().expand(z.shape[0])")),
    _m("LU product transposed", LINEAR, "lu", ("(lower @ upper).mT)", "(lower @ upper))")),
    _m("LU inverse keeps the bias", LINEAR, "lu", ("(z - self.bias).mT", "z.mT")),
    _m("orthogonal matrix not orthogonal", LINEAR, "orthogonal", ("skew = skew - skew.mT", "skew = skew + 0 * skew.mT")),
    _m("actnorm log-determinant sign, both ways", NORMALISE, "actnorm",
       ("-self.log_scale.sum().expand(x.shape[0])", "self.log_scale.sum().expand(x.shape[0])"), ("* self.log_scale.exp() + self.loc, self.log_scale.sum()", "* self.log_scale.exp() + self.loc, -self.log_scale.sum()")),
    _m("actnorm starts with the variance instead of the deviation", NORMALISE, "actnorm", ("(variance + EPSILON).log() / 2)\n\n", "(variance + EPSILON).log())\n\n")),
    _m("batch norm: stale running averages", NORMALISE, "batch-norm|realnvp-2", ("            self.mean.copy_(mean.detach())\n", "")),
    _m("batch norm: half the log-determinant is missing, both ways", NORMALISE, "batch-norm|realnvp-2",
       ("-log_scale.sum().expand(x.shape[0])", "-log_scale.sum().expand(x.shape[0]) / 2"), ("self.mean, log_scale.sum().expand(z.shape[0])", "self.mean, log_scale.sum().expand(z.shape[0]) / 2")),
    _m("batch norm: uses batch statistics in evaluation", NORMALISE, "batch-norm|realnvp-2", ("if self.training and x.shape[0] > 1:", "if x.shape[0] > 1:")),
    _m("standardise multiplies", NORMALISE, "standardise", ("return (x - self.loc) / self.scale", "return (x - self.loc) * self.scale")),
    _m("logit log-determinant sign, both ways", BOUNDED, "logit$|dequantise$",
       ("return log_u - log_rest, -sum_events(log_u + log_rest)", "return log_u - log_rest, sum_events(log_u + log_rest)"), ("dlogp = sum_events(F.logsigmoid(z)", "dlogp = -sum_events(F.logsigmoid(z)")),
    _m("logit: width of the box missing, both ways", BOUNDED, "logit$",
       (" - self.x_space.size * math.log(high - low)", ""), (" + self.x_space.size * math.log(high - low)", "")),
    _m("half-line: inverse off by the sign", BOUNDED, "logit-below", ("return high - F.softplus(-z)", "return high + F.softplus(-z)")),
    _m("dequantise: number of levels missing, both ways", STOCHASTIC, "dequantise",
       ("return x, self.noise._log_prob(y - level, self._given(x)) + self._volume()", "return x, self.noise._log_prob(y - level, self._given(x))"), (" / self.levels, -log_q - self._volume()", " / self.levels, -log_q")),
    _m("dequantise: noise undeclared", STOCHASTIC, "dequantise$", ("    own = Exactness.NOISY | Exactness.LOWER\n\n    def __init__(self, space", "    def __init__(self, space")),
    _m("dequantise: density of the noise dropped, both ways", STOCHASTIC, "dequantise-by-a-flow",
       ("-log_q - self._volume()", "-0 * log_q - self._volume()"), ("return x, self.noise._log_prob(y - level, self._given(x)) + ", "return x, 0 * self.noise._log_prob(y - level, self._given(x)) + ")),
    _m("VAE: encoder's density dropped, both ways", STOCHASTIC, "vae",
       ("z.flatten(1).to(self.dtype)) - log_q", "z.flatten(1).to(self.dtype))"), ("x.flatten(1).to(self.dtype)) - log_p", "x.flatten(1).to(self.dtype)) * 0 - log_p")),
    _m("VAE: noise undeclared", STOCHASTIC, "vae", ("    own = Exactness.NOISY | Exactness.LOWER\n\n    def __init__(self, encoder", "    def __init__(self, encoder")),
    _m("slice: the rest is not scored, both ways", SURJECTIVE, "slice", ("return z, self.rest._log_prob", "return z, 0 * self.rest._log_prob"), ("[z, forgotten], 1), -logp", "[z, forgotten], 1), -0 * logp")),
    _m("slice: sampling scores with the wrong sign", SURJECTIVE, "slice", ("[z, forgotten], 1), -logp", "[z, forgotten], 1), logp")),
    _m("normal: constant missing", FACTORISED, "normal$|realnvp-0", ("-0.5 * (x.square() + math.log(2 * math.pi))", "-0.5 * x.square()")),
    _m("normal: draws too wide", FACTORISED, "^normal$", ("return torch.randn(shape, dtype", "return 1.2 * torch.randn(shape, dtype")),
    _m("logistic: one tail only", FACTORISED, "^logistic$|nice-0", ("return F.logsigmoid(x) + F.logsigmoid(-x)", "return 2 * F.logsigmoid(x)")),
    _m("Student t: exponent v / 2", FACTORISED, "student-t", ("constant - (v + 1) / 2 *", "constant - v / 2 *")),
    _m("Student t: draws with the wrong degrees of freedom", FACTORISED, "student-t", ("torch._standard_gamma(v / 2)", "torch._standard_gamma(v)")),
    _m("uniform: volume of one coordinate missing", FACTORISED, "^uniform$", ("torch.full_like(x, -math.log(self.width))", "torch.full_like(x, 0.0)")),
    _m("sampler ignores the model's dtype", FACTORISED, "^normal$", ("torch.randn(shape, dtype=self.zero.dtype, device=self.zero.device)", "torch.randn(shape, device=self.zero.device)")),
    _m("mixture: weights not normalised", "distributions/mixture.py", "gaussian-mixture", ("self.logits.log_softmax(0)", "self.logits")),
    _m("mixture: scale's log missing", "distributions/mixture.py", "gaussian-mixture", (" - self.log_scales\n", "\n")),
    _m("conditional normal: scale's log missing", CONDITIONAL, "conditional-normal|vae", ("math.log(2 * math.pi)) - log_scale)", "math.log(2 * math.pi)))")),
    _m("Bernoulli: sign of the logit", CONDITIONAL, "conditional-bernoulli", ("(2 * x - 1) * self._logits(context)", "(1 - 2 * x) * self._logits(context)")),
    _m("discretised logistic not normalised", INTEGER, "discretised-logistic|rounded-shift", ("centred - rate / 2, centred + rate / 2", "centred - rate / 3, centred + rate / 3")),
    _m("discretised logistic: middle factor missing", INTEGER, "discretised-logistic", (" + torch.log(-torch.expm1(-rate))", "")),
    _m("categorical: last label free", CATEGORICAL, "autoregressive-categorical", ("x.unsqueeze(-1)).squeeze(-1).sum(1)", "x.unsqueeze(-1)).squeeze(-1)[:, :-1].sum(1)")),
    _m("categorical: labels that a column lacks get mass", CATEGORICAL, "categorical", ("logits = self.net(codes, context)\n        return logits.masked_fill(~self.allowed, -torch.inf)", "logits = self.net(codes, context)\n        return logits")),
    _m("flow: sample adds instead of subtracts", COMPOSE, "realnvp-0", ("return x, logp - dlogp", "return x, logp + dlogp")),
    _m("flow: log_prob without the base", COMPOSE, "realnvp-0", ("return self.base._log_prob(z, context) + dlogp", "return 0 * self.base._log_prob(z, context) + dlogp")),
    _m("flow: base does not get the context", COMPOSE, "embedded|slice|realnvp-1|iaf-1", ("return context if self.embed is None else self.embed(context)", "return context if self.embed is None else 0 * self.embed(context)")),
    _m("flow: embedding runs at every call", COMPOSE, "embedded", ("return Flow(self.chain, self.base).at(embedded.reshape(*batch, *embedded.shape[1:]))", "return super().at(context)")),
    _m("chain: last contribution lost", COMPOSE, "realnvp-0|nsf-0", ("            total = total + dlogp\n        return z, total\n\n    def inverse", "        return z, total\n\n    def inverse")),
    _m("chain: inverse in the wrong order", COMPOSE, "nsf-0|realnvp-0", ("for layer in layers[-2::-1]:", "for layer in layers[:-1]:")),
    _m("inverse does not flip bounds", COMPOSE, "dequantise|vae", ("return self.layer.exactness.flipped", "return self.layer.exactness")),
    _m("exactness stops at plain containers", BASE, "dequantise$|vae", ("                else:\n                    yield from below(child)\n", "")),
    _m("outside the support a finite density", BASE, "^uniform$|spline-on-a-box|dequantise$", ("torch.where(inside, logp, -math.inf)", "logp")),
    _m("non-finite values pass", BASE, "realnvp-0", ('            _require_finite("x", x, self.space)\n', "")),
    _m("missing context passes", BASE, "realnvp-1", ("            if self.context is not None:\n                raise ContextError(f\"expected a context", "            if False:\n                raise ContextError(f\"expected a context")),
    _m("context batch shape not checked", BASE, "maf-1", ("given = tuple(rows.shape[: rows.dim() - len(self.context.shape)])", "given = batch")),
    _m("frame not orthonormal", SPACE, "realnvp-0", ("torch.eye(self.size, dtype", "2 * torch.eye(self.size, dtype")),
]  # fmt: skip
"""The planted faults."""


def survives(mutant: Mutant) -> bool:
    """Whether the laws pass with the fault in place.

    Raises:
        LookupError: a text to change does not occur exactly once.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pushforward"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        source = copy / mutant.file
        text = source.read_text()
        for old, new in mutant.changes:
            if text.count(old) != 1:
                raise LookupError(f"{mutant.name!r}: {old!r} occurs {text.count(old)} times in {mutant.file}")
            text = text.replace(old, new)
        source.write_text(text)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "pushforward.laws", "check", mutant.cases, "--quick"],
            env={**os.environ, "PYTHONPATH": folder, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=folder,
            capture_output=True,
            timeout=600,
            check=False,
        )
    return done.returncode == 0


def run_mutants(sample: int | None = None, seed: int = 0, workers: int = 2) -> list[Mutant]:
    """Plant every fault, or a random sample of them, and return those that survived.

    Args:
        sample: how many; None for all.
        seed: of the sample.
        workers: processes at a time.
    """
    chosen = MUTANTS if sample is None else random.Random(seed).sample(MUTANTS, min(sample, len(MUTANTS)))
    survivors = []
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for mutant, alive in zip(chosen, pool.map(survives, chosen), strict=True):
            print(f"{'SURVIVED' if alive else 'caught  '}  {mutant.name}", flush=True)
            survivors += [mutant] * alive
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} planted faults caught")
    return survivors
