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


SCALAR, AFFINE, LOGISTIC = "transforms/scalar.py", "functional/affine.py", "functional/logistic.py"
SPLINE, TERMS, EAGER, UNROLLED = (f"functional/splines/{n}.py" for n in ("plain", "terms", "eager", "unrolled"))
LINEAR, NORMALISE = "transforms/linear.py", "transforms/normalise.py"
MADE, UNROLL = "networks/made.py", "networks/unroll.py"
COUPLING, AUTOREGRESSIVE, ELEMENTWISE = (f"transforms/{n}.py" for n in ("coupling", "autoregressive", "elementwise"))
MASKS, SHAPE, PICTURES = "transforms/masks.py", "transforms/shape.py", "functional/images.py"
CONV, ATTENTION, TRANSFORMER = (f"networks/{n}.py" for n in ("conv", "attention", "transformer"))
BOUNDED, STOCHASTIC, SURJECTIVE = (f"transforms/{n}.py" for n in ("bounded", "stochastic", "surjective"))
FACTORISED, BASE, COMPOSE, SPACE = "distributions/factorised.py", "core/base.py", "core/compose.py", "core/space.py"
MODULAR = "transforms/modular.py"
PLANAR, SYLVESTER, CHOLESKY, HAMILTONIAN = (
    f"transforms/{n}.py" for n in ("planar", "sylvester", "cholesky", "hamiltonian")
)
CONTINUOUS, RESIDUAL, ODE = "transforms/continuous.py", "transforms/residual.py", "functional/ode.py"
VELOCITY, POTENTIAL, LIPSCHITZ = (f"networks/{n}.py" for n in ("velocity", "potential", "lipschitz"))
CATEGORICAL, INTEGER, CONDITIONAL = (f"distributions/{n}.py" for n in ("categorical", "integer", "conditional"))

MUTANTS: list[Mutant] = [
    _m("affine log-determinant doubled, both ways", AFFINE, "realnvp-0|maf-0|affine$",
       ("return (torch.addcmul(shift, v, scale), s), (scale, root)", "return (torch.addcmul(shift, v, scale), 2 * s), (scale, root)"),
       ("return (image, s), (scale, root, image)", "return (image, 2 * s), (scale, root, image)")),
    _m("affine log-determinant sign, both ways", AFFINE, "realnvp-0",
       ("return (torch.addcmul(shift, v, scale), s), (scale, root)", "return (torch.addcmul(shift, v, scale), -s), (scale, root)"),
       ("return (image, s), (scale, root, image)", "return (image, -s), (scale, root, image)")),
    _m("affine inverse adds the shift", AFFINE, "realnvp-0", ("image = (v - shift).mul_(scale)", "image = (v + shift).mul_(scale)")),
    _m("affine inverse forgets its contribution", AFFINE, "realnvp-0", ("return (image, s), (scale, root, image)", "return (image, 0 * s), (scale, root, image)")),
    _m("affine: compilers see another map", AFFINE, "realnvp-0", ("return v * s.exp() + shift, s", "return v * s.exp() - shift, s")),
    _m("affine gradient: the bound's rate is missing", AFFINE, "realnvp-0|maf-0|affine$", ("torch.mul(torch.addcmul(slope, g, v), rate, out=g_free)", "torch.addcmul(slope, g, v, out=g_free)")),
    _m("affine gradient: the log-slope's part is missing", AFFINE, "realnvp-0|maf-0|affine$", ("torch.mul(torch.addcmul(slope, g, v), rate, out=g_free)", "torch.mul(g * v, rate, out=g_free)")),
    _m("affine gradient of the inverse: the shift's sign", AFFINE, "maf-0|affine$", ("torch.neg(g, out=g_shift)", "g_shift.copy_(g)")),
    _m("additive inverse adds", SCALAR, "nice-0", ("return z - p[..., 0], torch.zeros_like(z)\n", "return z + p[..., 0], torch.zeros_like(z)\n")),
    _m("gate: log of the complement", AFFINE, "iaf-0|gated-affine", ("s = (free * root).add_(self.offset)\n        gate, log_gate = s.sigmoid(), F.logsigmoid(s)", "s = (free * root).add_(self.offset)\n        gate, log_gate = s.sigmoid(), F.logsigmoid(-s)")),
    _m("gate: mean not weighted on the way back", AFFINE, "iaf-0|gated-affine", ("return (mean + from_mean, -log_gate)", "return (from_mean, -log_gate)")),
    _m("gate gradient: the complement is missing", AFFINE, "iaf-0|gated-affine", (".mul_(root).mul_(1 - gate)", ".mul_(root)")),
    _m("gate gradient: the mean's share", AFFINE, "iaf-0|gated-affine", ("torch.sub(image, g, out=g_mean)", "g_mean.copy_(g)")),
    _m("rounded shift does not round on the way back", SCALAR, "rounded-shift", ("return z - round_through(self.unit * p[..., 0])", "return z - self.unit * p[..., 0]")),
    _m("rounded shift with a spurious volume", SCALAR, "rounded-shift",
       ("return x + round_through(self.unit * p[..., 0]), torch.zeros_like(x)", "return x + round_through(self.unit * p[..., 0]), torch.zeros_like(x) + 0.1"),
       ("return z - round_through(self.unit * p[..., 0]), torch.zeros_like(z)", "return z - round_through(self.unit * p[..., 0]), torch.zeros_like(z) - 0.1")),
    _m("straight-through rounding without its gradient", "functional/bounds.py", "rounded-shift", ("return t.round().detach() + (t - t.detach())", "return t.round().detach()")),
    _m("spline log-slope doubled, both ways", TERMS, "nsf-0|spline$", ("terms.rise.log().neg_()", "2 * terms.rise.log().neg_()"), ("torch.addcmul(y0, terms.ratio, terms.h), terms.rise.log()", "torch.addcmul(y0, terms.ratio, terms.h), 2 * terms.rise.log()")),
    _m("spline slope without the denominator's square", TERMS, "nsf-0|spline$", ("rise = (s * over).square_().mul_(blend)", "rise = (s * s * over).mul_(blend)")),
    _m("spline slope: end derivatives swapped", TERMS, "nsf-0|spline$", ("blend = (d1 * t2).addcmul_(s, mixed, value=2).addcmul_(d0, r2)", "blend = (d0 * t2).addcmul_(s, mixed, value=2).addcmul_(d1, r2)")),
    _m("spline slope: middle term once", TERMS, "nsf-0|spline$", ("addcmul_(s, mixed, value=2).addcmul_(d0, r2)", "addcmul_(s, mixed).addcmul_(d0, r2)")),
    _m("spline value: d1 instead of d0", TERMS, "nsf-0|spline$", ("ratio = (s * t2).addcmul_(d0, mixed)", "ratio = (s * t2).addcmul_(d1, mixed)")),
    _m("spline curvature: one s", TERMS, "nsf-0|spline$", ("torch.sub(d0 + d1, s, alpha=2)", "torch.sub(d0 + d1, s)")),
    _m("spline inverse: wrong quadratic coefficient", TERMS, "nsf-0|spline$", ("a = (s - d0).mul_(h).add_(bent)", "a = (s - d0).mul_(h).sub_(bent)")),
    _m("spline inverse: other root", TERMS, "nsf-0|spline$", (".sqrt_().add_(b)", ".sqrt_().neg_().add_(b)")),
    _m("spline inverse: contribution not negated", TERMS, "nsf-0|spline$", ("terms.rise.log().neg_()", "terms.rise.log()")),
    _m("spline bins found on the wrong side", EAGER, "nsf-0|spline$", ("side = 1 if shape.inverse else 0", "side = 0")),
    _m("spline tails vanish: outside goes to zero", EAGER, "nsf-0|spline$", ("image.mul_(inside).addcmul_(given, 1 - inside)", "image.mul_(inside)")),
    _m("spline tails carry the spline's slope", EAGER, "spline$|nsf-0", ("log_slope.mul_(inside)", "log_slope.add_(0.5 * (1 - inside))")),
    _m("spline boundary slope is not one", EAGER, "nsf-0|spline$", ("raw = rows.new_zeros(bins + 1, n)", "raw = rows.new_ones(bins + 1, n)")),
    _m("spline: the plain formula has another slope", SPLINE, "nsf-0|spline$", ("slope.log() - 2 * denominator.log()", "slope.log() - denominator.log()")),
    _m("spline: the plain formula has another value", SPLINE, "nsf-0|spline$", ("(s * t.square() + d0 * mixed) / denominator", "(s * t.square() + d1 * mixed) / denominator")),
    _m("spline gradient: bend of the log-slope", TERMS, "nsf-0|spline$", ("bend.addcmul_(tilt.mul_(curve), over, value=-1)", "bend.addcmul_(tilt.mul_(curve), over)")),
    _m("spline gradient: slope of the bin", TERMS, "nsf-0|spline$", ("g_s = (t2 * over).addcmul_(ratio, flat, value=-1).mul_(g_ratio)", "g_s = (t2 * over).mul_(g_ratio)")),
    _m("spline gradient: width ignores the bin's slope", TERMS, "nsf-0|spline$", ("g_w = (g_x * t).addcmul_(g_s, s).neg_()", "g_w = (g_x * t).neg_()")),
    _m("spline gradient: right end's slope", TERMS, "nsf-0|spline$", ("g_d1 = (g_blend * t2).sub_(g_curve)", "g_d1 = g_blend * t2")),
    _m("spline gradient: implicit rule without the log-slope", TERMS, "nsf-0|spline$", ("g = (g_log * bend).mul_(2).div_(w).sub_(g).div_(rise)", "g = (-g).div_(rise)")),
    _m("spline gradient: the softmax's mean", EAGER, "nsf-0|spline$", (".sub_(mean[:, None])", "")),
    _m("spline gradient: bins after v count too", EAGER, "nsf-0|spline$", (".clamp_(0, 1)\n", ".clamp_(-1, 1)\n")),
    _m("logistic mixture: survival term dropped", LOGISTIC, "logistic-mixture", ("log_slope = log_density - log_cdf - log_survival", "log_slope = log_density - log_cdf")),
    _m("logistic mixture: scale missing in the density", LOGISTIC, "logistic-mixture", ("(cdf + above).sub_(log_scales)", "(cdf + above)")),
    _m("logistic mixture: inverse contribution sign", LOGISTIC, "logistic-mixture", ("-log_slope.view(v.shape)), saved", "log_slope.view(v.shape)), saved")),
    _m("logistic mixture gradient: means", LOGISTIC, "logistic-mixture", ("g_means = (g_u * rate).neg_()", "g_means = g_u.neg()")),
    _m("logistic mixture gradient: the softmax's mean", LOGISTIC, "logistic-mixture", ("c - a - b + weights, g_log", "c - a - b, g_log")),
    _m("logistic mixture gradient: implicit rule without the log-slope", LOGISTIC, "logistic-mixture", ("torch.addcmul(-g, g_log, bend).div_", "(-g).div_")),
    _m("root finder stops after three steps", "functional/roots.py", "logistic-mixture", ("for _ in range(iterations):", "for _ in range(3):")),
    _m("element-wise: contributions averaged instead of summed", "functional/bounds.py", "affine$|realnvp-3", ("t.flatten(1).sum(1)", "t.flatten(1).mean(1)")),
    _m("element-wise ignores its context", ELEMENTWISE, "elementwise-context", ("self.net(context).reshape(v.shape[0]", "0 * self.net(context).reshape(v.shape[0]")),
    _m("coupling ignores the context", COUPLING, "realnvp-1|nsf-3", ("self.net(seen, context)", "self.net(seen, None if context is None else 0 * context)")),
    _m("coupling conditions on what it maps", COUPLING, "realnvp-0", ("self._parameters_of(seen, context))\n        return self.halves.join(x, b), sum_events(slopes)\n\n    def inverse", "self._parameters_of(b[:, : seen.shape[1]], context))\n        return self.halves.join(x, b), sum_events(slopes)\n\n    def inverse")),
    _m("coupling joins in the wrong order", MASKS, "coupling-random|realnvp-3|alternating", ("return torch.cat([passed, mapped], 1).index_select(1, self.back)", "return torch.cat([passed, mapped], 1)")),
    _m("second half is never mapped", MASKS, "realnvp-1|nsf-3", ("return [not keep for keep in mask] if flip and features > 1 else mask\n\n\ndef alternating", "return mask\n\n\ndef alternating")),
    _m("MADE output mask not strict", MADE, "made-0|maf-0", ("rank.repeat(n)[:, None] > before[None]", "rank.repeat(n)[:, None] >= before[None]")),
    _m("MADE hidden mask too wide", MADE, "maf-2|autoregressive-residual", ("degree[:, None] >= before[None]", "degree[:, None] + 1 >= before[None]")),
    _m("MADE: weights not masked", MADE, "made-0|maf-0", ("return self.weight * self.mask", "return self.weight")),
    _m("MADE: first feature cannot see the context", MADE, "maf-1|made-1", ("lowest = -1 if context or features == 1 else 0", "lowest = 0")),
    _m("MADE: context enters with the wrong sign when unrolled", MADE, "maf-1", ("self.hidden[0].bias[:, None], self.embed.weight, context.mT", "self.hidden[0].bias[:, None], self.embed.weight, -context.mT")),
    _m("MADE: unrolling loses the residual connection", MADE, "autoregressive-residual|nsf-4", ("raw + skips[i - 2].pop(0)", "raw + 0 * skips[i - 2].pop(0)")),
    _m("unrolling forgets what came before a block", UNROLL, "maf-2|nsf-4", ("return _Piece(layer, lo, hi, weight, 0, seen)", "return _Piece(layer, lo, hi, None, 0, seen)")),
    _m("unrolling backwards: units not scaled by their activation's derivative", MADE, "maf-0|autoregressive-residual|iaf", ("value = raw * rates[i][lo:hi]", "value = raw")),
    _m("unrolling backwards loses the residual connection", MADE, "autoregressive-residual|nsf-4", ("value + values[i - 2].pop(0)", "value + 0 * values[i - 2].pop(0)")),
    _m("sorted weights are never refreshed", MADE, "maf-0", ("self._kept is None or key is None or self._kept[0] != key", "self._kept is None")),
    _m("autoregressive: implicit rule without the map's slope", AUTOREGRESSIVE, "maf-0|iaf|autoregressive", ("u = (right[i] - sent).div_(f_x[i])", "u = right[i] - sent")),
    _m("autoregressive: implicit rule without the log-slopes' gradient", AUTOREGRESSIVE, "maf-0|iaf|autoregressive", ("q = torch.addcmul(l_p[:, i], f_p[:, i], u[:, None])", "q = f_p[:, i] * u[:, None]")),
    _m("MADE: unrolled features in rank order", MADE, "made-1|maf-2", ("return x[:, self.order].flatten(1)", "return x.flatten(1)")),
    _m("autoregressive inverse drops a coordinate's contribution", AUTOREGRESSIVE, "maf-0", ("torch.stack(slopes).sum(0) if slopes", "torch.stack(slopes[1:]).sum(0) if slopes")),
    _m("Jacobi iteration stops one sweep early", "functional/fixed_point.py", "autoregressive-jacobi", ("for _ in range(depth):", "for _ in range(depth - 1):")),
    _m("permutation not undone", LINEAR, "permutation", ("return z[:, self.back]", "return z[:, self.order]")),
    _m("diagonal contributes one scale only", LINEAR, "nice-0|diagonal",
       ("self.log_scale.sum().expand(x.shape[0])", "self.log_scale[0].expand(x.shape[0])"), ("-self.log_scale.sum().expand(z.shape[0])", "-self.log_scale[0].expand(z.shape[0])")),
    _m("LU log-determinant dropped, both ways", LINEAR, "lu|nsf-0",
       ("(self.positions * self.log_diagonal.sum())", "(0 * self.log_diagonal.sum())")),
    _m("LU of channels counted once", LINEAR, "lu-channels", ("(self.positions * self.log_diagonal.sum())", "self.log_diagonal.sum()")),
    _m("actnorm of channels counted once", NORMALISE, "actnorm-channels", ("(self.positions * self.log_scale.sum())", "self.log_scale.sum()")),
    _m("LU product transposed", LINEAR, "lu", ("weight = lower @ upper", "weight = (lower @ upper).mT")),
    _m("LU inverse keeps the bias", LINEAR, "lu", ("(z - self.bias).mT", "z.mT")),
    _m("1 x 1 convolution counted once", LINEAR, "linear-channels", ("(self.positions * torch.linalg.slogdet(", "(torch.linalg.slogdet(")),
    _m("linear: transposed on the way back", LINEAR, "linear$", ("torch.linalg.inv(self.weight.double())", "torch.linalg.inv(self.weight.double()).mT")),
    _m("LU: rows not put back in order", LINEAR, "lu-rotation", ("index_select(-2, self.order.argsort())", "index_select(-2, self.order)")),
    _m("Haar: neither orthogonal nor of volume one, both ways", LINEAR, "haar",
       ("0.5 * torch.tensor(rows", "torch.tensor(rows"), ('blocks = torch.einsum("kj,bkchw->bcjhw", self.basis,', 'blocks = 0.25 * torch.einsum("kj,bkchw->bcjhw", self.basis,')),
    _m("Haar: two equal rows", LINEAR, "haar", ("[1, -1, -1, 1]]", "[1, 1, -1, -1]]")),
    _m("squeeze undone in another order", PICTURES, "^squeeze", ("blocks.permute(0, 1, 4, 2, 5, 3)", "blocks.permute(0, 1, 4, 3, 5, 2)")),
    _m("checkerboard: colours swapped on the way back", SHAPE, "^checkerboard", ("torch.where(odd, uneven, even), torch.where(odd, even, uneven)", "torch.where(odd, even, uneven), torch.where(odd, uneven, even)")),
    _m("tokens not transposed on the way back", SHAPE, "^tokens", ("return z.mT.reshape", "return z.reshape")),
    _m("positions: the network sees what is mapped", MASKS, "coupling-checkerboard", ("shown = torch.cat([v * self.seen,", "shown = torch.cat([v,")),
    _m("positions: joined in the wrong order", MASKS, "coupling-checkerboard", ("torch.cat([passed, mapped], 2).index_select(2, self.back)", "torch.cat([passed, mapped], 2)")),
    _m("sigmoidal: log of the gain missing, both ways", SCALAR, "sigmoidal-jet", (" + math.log(self.gain)", "")),
    _m("sigmoidal: shift outside the gate on the way back", SCALAR, "sigmoidal", ("return z / g - t, -log_g", "return (z - t) / g, -log_g")),
    _m("composed: slope of the first map missing, both ways", SCALAR, "composed", ("return z, inner + outer", "return z, outer"), ("return x, outer + inner", "return x, outer")),
    _m("composed: both maps have the same parameters", SCALAR, "composed", ("self.second.inverse(z, p[..., self.first.n :])", "self.second.inverse(z, p[..., : self.second.n])")),
    _m("condition does not reach the convolutions", CONV, "coupling-given-a-picture|glow-1", ("h = h + self.condition(context, x.shape[2:])[0]", "h = h + 0 * self.condition(context, x.shape[2:])[0]")),
    _m("element-wise ignores its picture", ELEMENTWISE, "slice-given-a-label", ("self.net(context).unflatten(1", "0 * self.net(context).unflatten(1")),
    _m("tokens: blocks from the guess of other places", AUTOREGRESSIVE, "token-blocks", ("guess[:, :-1]], 1)", "guess[:, 1:]], 1)")),
    _m("tokens: blocks stop one sweep early", AUTOREGRESSIVE, "token-blocks", ("guess, right.shape[1] - 1, self._stop_at(z)", "guess, right.shape[1] - 2, self._stop_at(z)")),
    _m("tokens: contribution of the first block only", AUTOREGRESSIVE, "autoregressive-token", ("return known, torch.stack(slopes).sum(0)", "return known, slopes[0]")),
    _m("tokens: parameters of a token interleaved on the way back", AUTOREGRESSIVE, "autoregressive-token", ("return *scalar.inverse(right, self._parameters_of(made)), grown", "return *scalar.inverse(right, made.unflatten(2, (-1, self.scalar.n))), grown")),
    _m("causal attention looks one place ahead, after a cache", ATTENTION, "token-blocks", (".tril(known - new)", ".tril(known - new + 1)")),
    _m("causal attention forgets the cache", ATTENTION, "autoregressive-token", ("torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)", "torch.cat([0 * past[0], key], 2), torch.cat([0 * past[1], value], 2)")),
    _m("causal transformer sees the token that it makes", TRANSFORMER, "autoregressive-token", ("before(self.embed(x[:, :-1]), self.start)", "before(self.embed(x[:, 1:]), self.start)")),
    _m("transformer: positions of a block counted from its start", TRANSFORMER, "autoregressive-token", ("self.positions[first : first + h.shape[1]]", "self.positions[: h.shape[1]]")),
    _m("orthogonal matrix not orthogonal", LINEAR, "orthogonal", ("skew = skew - skew.mT", "skew = skew + 0 * skew.mT")),
    _m("actnorm log-determinant sign, both ways", NORMALISE, "actnorm",
       ("(self.positions * self.log_scale.sum())", "(-self.positions * self.log_scale.sum())")),
    _m("actnorm starts with the variance instead of the deviation", NORMALISE, "actnorm", ("(variance + EPSILON).log() / 2)\n\n", "(variance + EPSILON).log())\n\n")),
    _m("batch norm: stale running averages", NORMALISE, "batch-norm|realnvp-2", ("            self.mean.copy_(mean.detach())\n", "")),
    _m("batch norm: half the log-determinant is missing, both ways", NORMALISE, "batch-norm|realnvp-2",
       ("-(self.positions * log_scale.sum()).expand(x.shape[0])", "-(self.positions * log_scale.sum()).expand(x.shape[0]) / 2"), ("self.mean, (self.positions * log_scale.sum()).expand(z.shape[0])", "self.mean, (self.positions * log_scale.sum()).expand(z.shape[0]) / 2")),
    _m("batch norm of channels counted once, both ways", NORMALISE, "batch-norm-channels",
       ("-(self.positions * log_scale.sum()).expand(x.shape[0])", "-log_scale.sum().expand(x.shape[0])"), ("self.mean, (self.positions * log_scale.sum()).expand(z.shape[0])", "self.mean, log_scale.sum().expand(z.shape[0])")),
    _m("batch norm: uses batch statistics in evaluation", NORMALISE, "batch-norm|realnvp-2", ("found = self._measured(x) if self.training else None", "found = self._measured(x)")),
    _m("standardise multiplies", NORMALISE, "standardise", ("return (x - self.loc) / self.scale", "return (x - self.loc) * self.scale")),
    _m("logit log-determinant sign, both ways", BOUNDED, "logit$|dequantise$",
       ("return log_u - log_rest, -sum_events(log_u + log_rest)", "return log_u - log_rest, sum_events(log_u + log_rest)"), ("dlogp = sum_events(F.logsigmoid(z)", "dlogp = -sum_events(F.logsigmoid(z)")),
    _m("logit: width of the box missing, both ways", BOUNDED, "logit$",
       ("(math.log(space.high - space.low) - math.log(self.slope))", "-math.log(self.slope)")),
    _m("logit: slope of the constant missing, both ways", BOUNDED, "logit-constant", (" - math.log(self.slope)) if finite", ") if finite")),
    _m("logit: one-sided constant undone as a symmetric one", BOUNDED, "logit-constant", ("- self.alpha) / self.slope", "- self.alpha) / (1 - 2 * self.alpha)")),
    _m("centre: volume missing, both ways", BOUNDED, "centre", (" - self.x_space.size * math.log(self.radius)", "")),
    _m("half-line: inverse off by the sign", BOUNDED, "logit-below", ("return high - F.softplus(-z)", "return high + F.softplus(-z)")),
    _m("dequantise: number of levels missing, both ways", STOCHASTIC, "dequantise",
       ("return x, self.noise._log_prob(y - level, self._given(x)) + self._volume()", "return x, self.noise._log_prob(y - level, self._given(x))"), (" / self.levels, -log_q - self._volume()", " / self.levels, -log_q")),
    _m("dequantise: noise undeclared", STOCHASTIC, "dequantise$", ("    own = Exactness.NOISY | Exactness.LOWER\n\n    def __init__(self, space: Space, noise: Distribution | None", "    def __init__(self, space: Space, noise: Distribution | None")),
    _m("dequantise: density of the noise dropped, both ways", STOCHASTIC, "dequantise-by-a-flow",
       ("-log_q - self._volume()", "-0 * log_q - self._volume()"), ("return x, self.noise._log_prob(y - level, self._given(x)) + ", "return x, 0 * self.noise._log_prob(y - level, self._given(x)) + ")),
    _m("VAE: encoder's density dropped, both ways", STOCHASTIC, "^vae$",
       ("return z, log_p - log_q", "return z, log_p"), ("x.flatten(1).to(self.dtype)) - log_p", "x.flatten(1).to(self.dtype)) * 0 - log_p")),
    _m("VAE: noise undeclared", STOCHASTIC, "^vae$", ("    own = Exactness.NOISY | Exactness.LOWER\n\n    def __init__(self, encoder", "    def __init__(self, encoder")),
    _m("slice: the rest is not scored, both ways", SURJECTIVE, "slice", ("return z, self.rest._log_prob", "return z, 0 * self.rest._log_prob"), ("[z, forgotten], 1), -logp", "[z, forgotten], 1), -0 * logp")),
    _m("slice: the rest does not get the context", SURJECTIVE, "slice-given-a-label", ("at_positions(context, z.shape[2:])], 1)", "0 * at_positions(context, z.shape[2:])], 1)")),
    _m("slice: the code of the rest is lost", SURJECTIVE, "slice$", ("return z, self.rest._take_apart(forgotten, self._given(z, context))", "return z, []")),
    _m("slice: the rest is put together from a fresh draw", SURJECTIVE, "slice$", ("self.rest._put_together(code_of, self._given(z, context))", "self.rest._sample(z.shape[0], self._given(z, context))[0]")),
    _m("flow: codes of the base come first", COMPOSE, "slice$", ("return [*codes, *self.base._take_apart(z, context)]", "return [*self.base._take_apart(z, context), *codes]")),
    _m("chain: codes of earlier layers are lost", COMPOSE, "slice$", ("codes += more", "codes = more")),
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
    _m("discretised logistic not normalised", LOGISTIC, "discretised-logistic|rounded-shift", ("centred - rate / 2, centred + rate / 2", "centred - rate / 3, centred + rate / 3")),
    _m("discretised logistic: middle factor missing", LOGISTIC, "discretised-logistic", (" + torch.log(-torch.expm1(-rate))", "")),
    _m("discretised mixture: weights not normalised", INTEGER, "discretised-logistic-mixture|idf", ("weights.log_softmax(-1)", "weights")),
    _m("discretised logistic: scale in the wrong unit", INTEGER, "discretised-logistic-mixture", ("soft_clip(scales, self.bound) + math.log(self.unit)", "soft_clip(scales, self.bound)"), ("return self._generate(chance, n, context)", "return self.unit * (self._generate(chance, n, context) / self.unit).round()")),
    _m("discretised logistic ignores its context", INTEGER, "discretised-logistic-given", ("p = p + self.net(context).reshape(p.shape)", "p = p + 0 * self.net(context).reshape(p.shape)")),
    _m("random labels: log-probability of another label", "distributions/symbols.py", "categorical", ("logp.gather(-1, x.unsqueeze(-1))", "logp.gather(-1, 0 * x.unsqueeze(-1))")),
    _m("random whole numbers: always the first component", "distributions/symbols.py", "discretised-logistic-mixture", ("argmax(-1, keepdim=True)", "argmax(-1, keepdim=True) * 0")),
    _m("random whole numbers: drawn without rounding half-way", "distributions/symbols.py", "discretised-logistic", (").round()", ").floor()")),
    _m("modular: inverse of the scale left out", MODULAR, "discrete-2|modular-coupling", ("z = x.gather(-1, self._inside(inverse * (places - m), modulus))", "z = x.gather(-1, self._inside(s * (places - m), modulus))")),
    _m("modular: shift before the scale on the way back", MODULAR, "discrete-0|modular-autoregressive", ("x = z.gather(-1, self._inside(s * places + m, modulus))", "x = z.gather(-1, self._inside(s * (places + m), modulus))")),
    _m("modular: one modulus for all labels", MODULAR, "discrete-1|modular-coupling", ("return torch.where(places < modulus, index.remainder(modulus), places)", "return index.remainder(self.width)")),
    _m("modular: scales with a common divisor allowed", MODULAR, "modular-coupling|modular-autoregressive|discrete-1", ("scale = one_hot_through(p[..., width:].masked_fill(table < 0, -torch.inf), self.temperature)", "scale = one_hot_through(p[..., width:], self.temperature)")),
    _m("modular: no gradient for the shift", MODULAR, "modular-tables|discrete-4", ("z = z + _gradient(shift.gather(", "z = z + 0 * _gradient(shift.gather(")),
    _m("modular: no gradient for the labels", MODULAR, "discrete-4", ("z = x.gather(-1, self._inside(inverse", "z = x.detach().gather(-1, self._inside(inverse")),
    _m("modular with a spurious volume", MODULAR, "discrete-0", ("return z, x.new_zeros(x.shape[:-1])", "return z, x.new_zeros(x.shape[:-1]) + 0.1"), ("return x, z.new_zeros(z.shape[:-1])", "return x, z.new_zeros(z.shape[:-1]) - 0.1")),
    _m("inverse modulo: coefficient of the wrong number", "functional/modular.py", "discrete-0|modular-autoregressive|modular-coupling", ("old_t, new_t = 0, 1", "old_t, new_t = 1, 0")),
    _m("one-hot codes shifted by one", "transforms/onehot.py", "discrete-0", ("labels = z.argmax(-1).reshape(z.shape[0], *self.x_space.shape) + self.low", "labels = z.argmax(-1).reshape(z.shape[0], *self.x_space.shape) - 1 + self.low")),
    _m("table of labels looks at the label itself", "networks/labels.py", "discrete-3|modular-tables", ("table(x[:, :i])", "table(x[:, self.tables.__len__() - i :])")),
    _m("categorical: last label free", CATEGORICAL, "autoregressive-categorical", ("* codes).flatten(1).sum(1)", "* codes)[:, :-1].flatten(1).sum(1)")),
    _m("categorical: labels that a column lacks get mass", CATEGORICAL, "categorical", ("return logits.masked_fill(~self.allowed, -torch.inf).log_softmax(-1)", "return logits.log_softmax(-1)")),
    _m("continuous: divergence with the wrong sign", CONTINUOUS, "ffjord-0|^continuous$", ("sums = [share * divergence,", "sums = [-share * divergence,")),
    _m("continuous: divergence doubled", CONTINUOUS, "otflow-0|^continuous$", ("sums = [share * divergence,", "sums = [2 * share * divergence,")),
    _m("continuous: the duration does not scale the divergence", CONTINUOUS, "^continuous$", ("return (speed * moved, *(speed * rate for rate in sums))", "return (speed * moved, *(rate for rate in sums))")),
    _m("continuous: probes not averaged", CONTINUOUS, "continuous-gaussian", ("share = 1.0 if probes is None else 1 / self.probes", "share = 1.0")),
    _m("continuous: probes of the wrong size", "functional/probes.py", "continuous-estimated", ("mul_(2).sub_(1)", "mul_(2).sub_(0.5)")),
    _m("continuous: both ways in the same direction", CONTINUOUS, "flow-matching-0", ("ends = (1.0, 0.0) if turned else (0.0, 1.0)", "ends = (0.0, 1.0)")),
    _m("continuous: an estimated trace is not noise", CONTINUOUS, "continuous-estimated|ffjord-2", ('found = Exactness.NOISY if self.trace == "estimated" else Exactness.EXACT', "found = Exactness.EXACT")),
    _m("continuous: context of the velocity is left out", CONTINUOUS, "ffjord-1|potential", ("given = (t, state[0], context) if probes is None", "given = (t, state[0], 0 * context if context is not None else None) if probes is None")),
    _m("velocity: slope of the last activation only", VELOCITY, "ffjord-0|flow-matching-1", ("directions = linear(directions) * slope(raw, x)", "directions = linear(directions)")),
    _m("velocity: gate missing in the linear part", VELOCITY, "ffjord-0|^continuous$", ("(directions @ self.inner.weight.mT) * gate", "(directions @ self.inner.weight.mT)")),
    _m("velocity: slope of silu", VELOCITY, "flow-matching-0", ("return gate + value * (1 - gate)", "return gate + value * gate")),
    _m("potential: second derivative of log cosh", POTENTIAL, "otflow-0", ("return torch.addcmul(z, slope.square(), z, value=-1)", "return torch.addcmul(z, slope, z, value=-1)")),
    _m("potential: quadratic term missing in the trace", POTENTIAL, "otflow-0", ("return total + self.quadratic[:, : self.features].square().sum()", "return total")),
    _m("potential: step of the residual layers missing in the trace", POTENTIAL, "otflow-1|potential", ("total = total + self.step * (", "total = total + (")),
    _m("norms: gradient of the weights", "functional/jacobians.py", "otflow-0", ("share = 2 * cotangents[i][piece].T.unsqueeze(-1)", "share = cotangents[i][piece].T.unsqueeze(-1)")),
    _m("norms: gradient of the deeper slopes", "functional/jacobians.py", "otflow-1|potential", ("of_slopes[i + 1][piece] = h * torch", "of_slopes[i + 1][piece] = torch")),
    _m("norms: Jacobian without the layers before", "functional/jacobians.py", "otflow-1|potential", ("torch.addcmul(jacobian, slopes[i + 1].T.unsqueeze(-1), product, value=h, out=places[2 * i + 2])", "torch.mul(slopes[i + 1].T.unsqueeze(-1), h * product, out=places[2 * i + 2])")),
    _m("solver: a stage at the wrong weight", ODE, "otflow-0|^continuous$", ("(44 / 45, -56 / 15, 32 / 9)", "(44 / 45, -56 / 15, 31 / 9)")),
    _m("residual: log-determinant of the Jacobian alone", RESIDUAL, "residual-0", ("return basis + columns.permute(1, 2, 0)", "return columns.permute(1, 2, 0)")),
    _m("residual: alternating signs forgotten", RESIDUAL, "residual-1|residual-2", ("plain = [(-1) ** (k + 1) / k for k in range(1, first + 1)]", "plain = [1 / k for k in range(1, first + 1)]")),
    _m("residual: signs of the roulette's further terms", RESIDUAL, "residual-through-all-terms", ("*((-1) ** (first + j + 1) / (first + j) / stay ** (j - 1) for j in range(1, count + 1))", "*((-1) ** (first + j) / (first + j) / stay ** (j - 1) for j in range(1, count + 1))")),
    _m("residual: roulette with other odds than its weights", RESIDUAL, "residual-through-all-terms", ("count = int(torch.empty(()).geometric_(1 - stay))", "count = int(torch.empty(()).geometric_(stay))")),
    _m("residual: inverse stops early", RESIDUAL, "residual-0", ("return 16 * torch.finfo(z.dtype).eps / (1 - self.lipschitz) if", "return 1e-4 if")),
    _m("residual: gradient of the inverse is that of one step", RESIDUAL, "residual-0", ("    u = _neumann(a, pull, ctx.layer)", "    u = a")),
    _m("residual: implicit rule with the wrong sign", RESIDUAL, "residual-0", ("torch.autograd.grad(value, below, -u, materialize_grads=True)", "torch.autograd.grad(value, below, u, materialize_grads=True)")),
    _m("residual: series without 1 / k", RESIDUAL, "residual-1|residual-2", ("plain = [(-1) ** (k + 1) / k for k", "plain = [(-1) ** (k + 1) for k")),
    _m("norm bound: gradient forgotten", LIPSCHITZ, "residual-0", ("((value + linear - linear.detach()) / 2).exp()", "(value / 2).exp()")),
    _m("norm bound: too small", LIPSCHITZ, "residual-0", ("(trace.log() + log_size) / (exponent + 1)", "(trace.log() + log_size) / (exponent + 200)")),
    _m("norm bound: one pixel's block for all windows", LIPSCHITZ, "residual-convolutions", ("if self.margin else [1, 1]", "if not self.margin else [1, 1]")),
    _m("residual: slope of the activation", LIPSCHITZ, "residual-0", ("return value, gate / 1.1 + sharp * value * (1 - gate)", "return value, gate / 1.1 + value * (1 - gate)")),
    _m("residual: a layer pulls with the wrong weight", LIPSCHITZ, "residual-0", ("v = self.layers[i].pull(weights[i], v)", "v = self.layers[i].pull(0.5 * weights[i], v)")),
    _m("residual: an estimate is called exact", RESIDUAL, "residual-1|residual-2", ('return Exactness.NOISY if self.logdet == "roulette" else Exactness.NOISY | Exactness.LOWER | Exactness.UPPER', "return Exactness.EXACT")),
    _m("flow: sample adds instead of subtracts", COMPOSE, "realnvp-0", ("return x, logp - dlogp", "return x, logp + dlogp")),
    _m("flow: log_prob without the base", COMPOSE, "realnvp-0", ("        z, dlogp = self.chain(x, context)\n        return self.base._log_prob(z, context) + dlogp", "        z, dlogp = self.chain(x, context)\n        return 0 * self.base._log_prob(z, context) + dlogp")),
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
    _m("density on a sphere multiplied by e^0.5", "distributions/uniform.py", "^uniform-sphere$", ("return (0 * x).sum(1) - self.log_volume", "return (0 * x).sum(1) - self.log_volume + 0.5")),
    _m("area of a sphere: half", "core/curved_space.py", "^uniform-sphere$", ("return 2 * math.pi ** (self.size / 2)", "return math.pi ** (self.size / 2)")),
    _m("frame not orthonormal", SPACE, "realnvp-0", ("        return torch.eye(self.size, dtype", "        return 2 * torch.eye(self.size, dtype")),
    _m("planar: log-determinant doubled, both ways", PLANAR, "^planar$",
       ("return x + u * t.unsqueeze(-1), torch.log1p(slope * (1 - t.square()))", "return x + u * t.unsqueeze(-1), 2 * torch.log1p(slope * (1 - t.square()))"),
       ("return z - u * t.unsqueeze(-1), -torch.log1p(slope * (1 - t.square()))", "return z - u * t.unsqueeze(-1), -2 * torch.log1p(slope * (1 - t.square()))")),
    _m("planar: derivative of tanh left out, both ways", PLANAR, "^planar$",
       ("return x + u * t.unsqueeze(-1), torch.log1p(slope * (1 - t.square()))", "return x + u * t.unsqueeze(-1), torch.log1p(slope * (1 - t))"),
       ("return z - u * t.unsqueeze(-1), -torch.log1p(slope * (1 - t.square()))", "return z - u * t.unsqueeze(-1), -torch.log1p(slope * (1 - t))")),
    _m("planar: u is not moved", PLANAR, "^planar$", ("return u + (slope - product) / square * w, w", "return u, w")),
    _m("planar: w not divided by its square", PLANAR, "^planar$", ("(slope - product) / square * w", "(slope - product) * w")),
    _m("planar: inverse leaves b out", PLANAR, "^planar$", ("right = torch.linalg.vecdot(w, z) + b", "right = torch.linalg.vecdot(w, z)")),
    _m("tanh root: two Newton steps only", "functional/roots.py", "^planar$|^sylvester$", ("for _ in range(10):", "for _ in range(0):")),
    _m("tanh root: no gradient", "functional/roots.py", "^planar$", ("return _newton(_newton(s, slope, value), slope, value)", "return s")),
    _m("radial: D and not D - 1 times the tangential slope", PLANAR, "^radial$", ("(self.x_space.size - 1) * torch.log1p", "self.x_space.size * torch.log1p")),
    _m("radial: radial slope without alpha", PLANAR, "^radial$", ("torch.log1p(alpha * beta * h.square())", "torch.log1p(beta * h.square())")),
    _m("radial: wrong root", PLANAR, "^radial$", ("half = (rho - alpha - beta) / 2", "half = (rho - alpha + beta) / 2")),
    _m("Sylvester: diagonals not multiplied", SYLVESTER, "^sylvester$",
       ("    product = r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)\n    return torch.log1p", "    product = r.diagonal(dim1=-2, dim2=-1)\n    return torch.log1p")),
    _m("Sylvester: Q not orthonormal", SYLVESTER, "^sylvester$", ("return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)", "return free")),
    _m("Sylvester: reflections by half", SYLVESTER, "sylvester-householder", ("q = q - 2 * torch.matmul", "q = q - torch.matmul")),
    _m("Sylvester: inverse forgets later entries", SYLVESTER, "sylvester-triangular", ("left = v[:, i] - torch.linalg.vecdot(r[:, i, i + 1 :], bent)", "left = v[:, i]")),
    _m("Cholesky: diagonal and not its logarithm, both ways", CHOLESKY, "^cholesky$",
       ("return m + torch.matmul(factor, x.unsqueeze(-1)).squeeze(-1), logs.sum(-1)", "return m + torch.matmul(factor, x.unsqueeze(-1)).squeeze(-1), logs.exp().sum(-1)"),
       ("return x.squeeze(-1), -logs.sum(-1)", "return x.squeeze(-1), -logs.exp().sum(-1)")),
    _m("leapfrog: a whole step of momenta at the end", HAMILTONIAN, "^leapfrog$", ("(s if i + 1 < self.steps else s / 2) * value", "s * value")),
    _m("leapfrog: back in time without turning the momenta", HAMILTONIAN, "^leapfrog$|^underdamped$",
       ("at, v = self._run(at, -v, context)\n        return torch.cat([at, -v], 1)", "at, v = self._run(at, v, context)\n        return torch.cat([at, v], 1)")),
    _m("tempering: one coordinate's volume", HAMILTONIAN, "^tempering$|^underdamped$",
       ("(-self.size * self.log_factor).expand(x.shape[0])", "(-self.log_factor).expand(x.shape[0])"),
       ("(self.size * self.log_factor).expand(z.shape[0])", "self.log_factor.expand(z.shape[0])")),
    _m("refresh: variance not kept", HAMILTONIAN, "^refresh$", ("(1 - keep.square()).sqrt()", "(1 - keep)")),
    _m("refresh: ratio turned round", HAMILTONIAN, "^underdamped$", ("sum_events(new.square() - v.square()) / 2", "sum_events(v.square() - new.square()) / 2")),
    _m("Metropolis: term turned round", HAMILTONIAN, "^metropolis$", ("return z, -gain", "return z, gain")),
    _m("Metropolis: everything is taken", HAMILTONIAN, "^metropolis$", ("taken = torch.rand_like(energy).log() < energy", "taken = torch.rand_like(energy) < 2")),
    _m("Metropolis: noise undeclared", HAMILTONIAN, "^metropolis$",
       ("    own = Exactness.NOISY | Exactness.LOWER\n\n    def __init__(\n        self,\n        target: LogDensity,\n        space: Real,\n        *,\n        steps: int = 1,\n        step: float = 0.1,\n        learned: bool = True,\n        context: int | Space = 0,\n    ) -> None:\n        super().__init__()\n        self.trajectory", "    def __init__(\n        self,\n        target: LogDensity,\n        space: Real,\n        *,\n        steps: int = 1,\n        step: float = 0.1,\n        learned: bool = True,\n        context: int | Space = 0,\n    ) -> None:\n        super().__init__()\n        self.trajectory")),
    _m("augment: density of the noise left out, both ways", STOCHASTIC, "^annealed-langevin$|^underdamped$",
       ("return torch.cat([x, u], 1), -log_q", "return torch.cat([x, u], 1), 0 * log_q"),
       ("return x, self.noise._log_prob(u, self._given(x))\n\n\nclass Deq", "return x, 0 * self.noise._log_prob(u, self._given(x))\n\n\nclass Deq")),
    _m("log: volume turned round, both ways", BOUNDED, "^log$",
       ("return self.side * log_y, -sum_events(log_y)", "return self.side * log_y, sum_events(log_y)"),
       ("(self.side * z).exp(), sum_events(self.side * z)", "(self.side * z).exp(), -sum_events(self.side * z)")),
    _m("log-ratio: last share left out of the volume, both ways", BOUNDED, "^log-ratio$",
       ("return logs[..., :-1] - logs[..., -1:], -sum_events(logs)", "return logs[..., :-1] - logs[..., -1:], -sum_events(logs[..., :-1])"),
       ("return logs.exp(), sum_events(logs)", "return logs.exp(), sum_events(logs[..., :-1])")),
    _m("conditional logistic: edges without tails", CONDITIONAL, "^conditional-logistic$", ("torch.where(x == 0, F.logsigmoid((x + 0.5 - mean) * rate), inner)", "inner")),
    _m("conditional levels: softmax left out", CONDITIONAL, "^conditional-levels$", ("self._logits(context).log_softmax(-1).gather", "self._logits(context).gather")),
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
