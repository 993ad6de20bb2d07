"""VAE: a stochastic layer, whose encoder is a flow, before a standard normal base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ..core import Chain, Distribution, Flow, Inverse, Real, Transform
from ..distributions import (
    ConditionalBernoulli,
    ConditionalCategorical,
    ConditionalLogistic,
    ConditionalNormal,
    Normal,
)
from ..errors import SpecError
from ..networks import MLP, Activation
from ..objectives.bound import EvidenceBound
from ..transforms import (
    Affine,
    Augment,
    Cholesky,
    Correlation,
    Elementwise,
    Leapfrog,
    LogisticScore,
    RationalQuadratic,
    Slice,
    Stochastic,
    Tempering,
)
from .iaf import IAF
from .nsf import NSF
from .picture_spec import PictureSpec, Scaled
from .planar import PlanarFlow
from .radial import RadialFlow
from .sylvester import SylvesterFlow

Likelihood = Literal["auto", "bernoulli", "categorical", "logistic"]
Kind = Literal["diagonal", "full", "copula", "planar", "radial", "sylvester", "iaf", "spline", "hamiltonian"]
Marginals = Literal["normal", "logistic", "spline"]


class Joint(nn.Module):
    """Log-density log p(x|z) + log p(z) as a function of z given x, the target of a Hamiltonian posterior.

    Args:
        decoder: Decoder p(x|z). The model owns its parameters; this module only refers to it.
        prior: Prior p(z), also referred to only.
        scale: Scaling of x that was applied to the context.
    """

    def __init__(self, decoder: Distribution, prior: Distribution, scale: Scaled) -> None:
        super().__init__()
        self.of = (decoder, prior, scale)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density (B,) in nats: z (B, L), context the scaled and flattened x."""
        # Kept in a tuple, the modules are not registered again as children.
        decoder, prior, scale = self.of
        assert context is not None  # noqa: S101
        return decoder._log_prob(scale.undo(context).reshape(-1, *decoder.space.shape), z) + prior._log_prob(z, None)


@dataclass(frozen=True, kw_only=True)
class VAE(PictureSpec):
    """Variational autoencoder: z ~ N(0, 1), x ~ p(x|z), and a flow q(z|x) as approximate posterior.

    log p(x) >= E_q [log p(x|z) + log p(z) - log q(z|x)]; `evaluation.log_likelihoods` tightens the bound with many samples.

    Args:
        latent: Length of z.
        likelihood: Likelihood of pixels given z: "bernoulli" for two levels, "categorical", or "logistic" (discretised);
            "auto" is "bernoulli" for two levels and "logistic" for more.
        posterior: Approximate posterior: a "diagonal" or "full" Gaussian; a Gaussian "copula" with any marginals, whose
            correlations the encoder computes (Wang and Wang 2019, arXiv:1909.12569); a "planar", "radial", "sylvester",
            "iaf" or "spline" flow; or "hamiltonian", leapfrog steps towards the true posterior with tempered momenta.
        marginals: Marginal distributions of the posterior "copula": "normal", "logistic", or "spline" (a normal
            distribution bent by a monotone spline).
        steps: Number of steps of the posterior's flow.
        hidden: Widths of the hidden layers of the encoder, and in reverse order of the decoder.
        activation: Activation function of the encoder; with ReLU, most units die in the first steps, when the loss is
            hundreds of nats.
        decoder_activation: Activation function of the decoder; with ReLU, half of the last layer or more dies on pictures
            with 17 or 256 levels.
        above: Lengths of further latent variables, stacked on z, each with a Gaussian prior and posterior given the one
            below or above.
        warmup: Number of training steps over which the weight of the divergence rises from 0 to 1.
        free_bits: Divergence of each latent variable, in nats, below which it is not penalised in training.
        samples: Number of samples of the importance-weighted bound in training.
    """

    name = "vae"
    family = "images"
    spread = 0.2  # with larger weights the bounds are too loose to be averaged
    symbol = ">="
    paper = "Kingma, Welling 2014, arXiv:1312.6114; Rezende, Mohamed 2015, arXiv:1505.05770"
    objective = "evidence bound"

    latent: int = 20
    likelihood: Likelihood = "auto"
    posterior: Kind = "diagonal"
    marginals: Marginals = "logistic"
    steps: int = 4
    hidden: tuple[int, ...] = (300, 300)
    activation: str = "elu"
    decoder_activation: str = "silu"
    above: tuple[int, ...] = ()
    warmup: int = 0
    free_bits: float = 0.0
    samples: int = 1

    def validate(self) -> None:
        """Check the arguments; a VAE takes no condition."""
        super().validate()
        if self.classes or self.condition:
            raise SpecError("expected no labels or conditions: vae models pictures alone")
        self._at_least("latent", 1)
        self._at_least("warmup", 0)
        self._at_least("samples", 1)
        if not self.hidden or min((*self.hidden, *self.above, 1)) < 1:
            raise SpecError(f"expected widths >= 1, got hidden={self.hidden}, above={self.above}")
        if self.free_bits < 0:
            raise SpecError(f"expected vae.free_bits >= 0, got {self.free_bits}")
        if self.likelihood == "bernoulli" and self.levels != 2:
            raise SpecError(f"expected two levels for a Bernoulli likelihood, got {self.levels}")

    def build(self) -> Flow:
        """Return the model; its posterior starts as the prior."""
        decoder = self._decoder()
        layers: list[Transform] = [Stochastic(self._encoder(decoder), decoder)]
        below = self.latent
        for length in self.above:
            lower, upper, width = Real((below,)), Real((length,)), self.hidden[-1:]
            encoder = ConditionalNormal(upper, below, hidden=width)
            layers.append(Stochastic(encoder, ConditionalNormal(lower, length, hidden=width)))
            below = length
        return Flow(Chain(*layers), Normal(Real((below,))))

    def loss(self, model: Distribution) -> EvidenceBound:
        """Return the evidence bound with the settings of this spec."""
        if not isinstance(model, Flow):
            raise SpecError(f"expected the flow of a vae, got {type(model).__name__}")
        return EvidenceBound(model, warmup=self.warmup, free_bits=self.free_bits, samples=self.samples)

    def _decoder(self) -> Distribution:
        return pixel_decoder(
            self.likelihood, self.shape, self.latent, self.levels, self.hidden[::-1], self.decoder_activation
        )

    def _encoder(self, decoder: Distribution) -> Flow:
        space, size, width = Real((self.latent,)), self.space.size, self.hidden[-1]
        if self.posterior == "hamiltonian":
            return self._hamiltonian(decoder, space, size)
        widths = self.hidden[:-1] or self.hidden
        network = MLP(size, width, hidden=widths, activation=self.activation, zero=False)
        embed = Scaled(nn.Sequential(network, Activation(self.activation)), self.levels)
        flow = self._posterior(space, width)
        return Flow(flow.chain, flow.base, embed=embed, context=Real((size,)))

    def _posterior(self, space: Real, width: int) -> Flow:
        """Return the posterior of z given the encoder's result for x."""
        common = {"features": self.latent, "context": width}
        if self.posterior == "full":
            return Flow(Inverse(Cholesky(space, context=width)), Normal(space))
        if self.posterior == "copula":
            return copula_posterior(space, width, self.marginals)
        if self.posterior == "iaf":
            return IAF(**common, layers=self.steps, hidden=(width,)).build()  # type: ignore[arg-type]
        flows = {"planar": PlanarFlow, "radial": RadialFlow, "sylvester": SylvesterFlow}
        if self.posterior in flows:
            return flows[self.posterior](**common, layers=self.steps).build()  # type: ignore[arg-type]
        layers: list[Transform] = [Inverse(Elementwise(Affine(), space, context=width, hidden=()))]
        if self.posterior == "spline":
            splines = NSF(**common, structure="coupling", layers=self.steps, hidden=64).build()  # type: ignore[arg-type]
            layers.append(splines.chain)
        return Flow(Chain(*layers), Normal(space))

    def _hamiltonian(self, decoder: Distribution, space: Real, size: int) -> Flow:
        """Return the posterior of Caterini, Doucet, Sejdinovic 2018 (arXiv:1805.11328), with learned steps and temperatures."""
        scale = Scaled(nn.Identity(), self.levels)
        joint = Joint(decoder, Normal(space), scale)
        moves: list[Transform] = []
        for _ in range(self.steps):
            # A chain is listed from the data side, so sampling runs each leapfrog step before it scales the momenta.
            moves += [Tempering(space), Leapfrog(joint, space, step=0.05, context=size)]
        first = Elementwise(Affine(), space, context=size, hidden=self.hidden, activation=self.activation)
        both = moves[0].x_space
        return Flow(
            Chain(Augment(space, Normal(space)), *moves, Slice(both, self.latent, Normal(space)), Inverse(first)),
            Normal(space),
            embed=scale,
            context=Real((size,)),
        )

    def exemptions(self) -> Mapping[str, str]:
        """Return the reason why a model with a Hamiltonian posterior cannot be exported."""
        if self.posterior != "hamiltonian":
            return {}
        return {"export": "torch.export cannot differentiate a target density"}

    @classmethod
    def cases(cls) -> Iterator[VAE]:
        """Yield one spec for every likelihood, and one for each kind of posterior."""
        small = {"latent": 2, "hidden": (6,), "steps": 1}
        yield cls(shape=(1, 1, 2), levels=2, **small)  # type: ignore[arg-type]
        yield cls(shape=(1, 1, 2), levels=3, posterior="iaf", **small)  # type: ignore[arg-type]
        yield cls(shape=(1, 1, 2), levels=3, likelihood="categorical", posterior="full", above=(1,), **small)  # type: ignore[arg-type]
        yield cls(shape=(1, 1, 2), levels=2, posterior="spline", **small)  # type: ignore[arg-type]
        yield cls(shape=(1, 1, 2), levels=2, posterior="hamiltonian", **small)  # type: ignore[arg-type]
        yield cls(shape=(1, 1, 2), levels=2, posterior="copula", **small)  # type: ignore[arg-type]


def pixel_decoder(
    likelihood: Likelihood, shape: tuple[int, ...], latent: int, levels: int, hidden: tuple[int, ...], activation: str
) -> Distribution:
    """Return the distribution of pixels given a latent vector.

    Args:
        likelihood: Kind of the likelihood, as for `VAE`.
        shape: Channels, height and width of a picture.
        latent: Length of the latent vector.
        levels: Number of levels.
        hidden: Widths of the hidden layers.
        activation: Activation function of these layers.
    """
    if likelihood == "bernoulli" or (likelihood == "auto" and levels == 2):
        return ConditionalBernoulli(shape, latent, hidden=hidden, activation=activation)
    make = ConditionalCategorical if likelihood == "categorical" else ConditionalLogistic
    return make(shape, latent, levels=levels, hidden=hidden, activation=activation)


def copula_posterior(space: Real, context: int, marginals: Marginals = "logistic") -> Flow:
    """Return a distribution with a Gaussian copula: z_i = F_i^-1(Phi(q_i)) with q normal and its correlations, given a context.

        log q(z) = sum_i log f_i(z_i) - 1/2 log |R| - 1/2 q^T (R^-1 - 1) q

    With normal marginals it is a Gaussian of any covariance.

    Args:
        space: Space of z, of shape (D,).
        context: Length of the context.
        marginals: Marginal distributions F_i, with a location and a scale each.

    References:
        Wang and Wang 2019, arXiv:1909.12569, section 3.
    """
    layers: list[Transform] = [Inverse(Elementwise(Affine(), space, context=context, hidden=()))]
    if marginals == "logistic":
        layers.append(Elementwise(LogisticScore(), space))
    elif marginals == "spline":
        layers.append(Elementwise(RationalQuadratic(8), space, context=context, hidden=()))
    return Flow(Chain(*layers, Inverse(Correlation(space, context=context))), Normal(space))


def vae(shape: tuple[int, ...], **fields: object) -> Flow:
    """Return the flow of a `VAE` spec, as in `vae((1, 28, 28), levels=2, latent=20, posterior="iaf")`.

    Args:
        shape: Channels, height and width of a picture.
        **fields: Other arguments of the spec.
    """
    return VAE(shape=shape, **fields).build()  # type: ignore[arg-type]
