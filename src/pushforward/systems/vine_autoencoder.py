"""Vine copula autoencoder: an autoencoder, and a vine with learned marginals on its codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..core import Chain, Distribution, Flow, Inverse, Real, initialise
from ..distributions import Normal
from ..errors import SpecError
from ..networks import MLP, Activation
from ..objectives import CodeLikelihood
from ..transforms import Additive, Elementwise, Standardise, Stochastic
from .autoencoder import Likelihood, pixel_decoder
from .picture_spec import PictureSpec, Scaled
from .vine import Vine

MOST_CODES = 20_000
"""Largest number of codes to which the vine is fitted."""


@dataclass(frozen=True, kw_only=True)
class VineAutoencoder(PictureSpec):
    """Autoencoder of pictures with a vine copula on its codes.

    Training learns codes z = e(x) + noise from which the decoder predicts the pixels; the codes have no prior. Then a vine with
    learned marginals is fitted to the codes of the training pictures, so that new codes can be drawn and decoded. With it
    the model has a likelihood after all, bounded as for a VAE:

        log p(x) >= E_q [log p(x | z) + log p_vine(z) - log q(z | x)],    q(z | x) = N(e(x), noise^2)

    Args:
        latent: Length of a code.
        likelihood: Likelihood of pixels given a code, as for `vae`.
        hidden: Widths of the hidden layers of the encoder, and in reverse order of the decoder.
        activation: Activation function of the networks.
        noise: Standard deviation of the noise of a code.
        weight: Weight of the squared codes in the loss, which keeps their scale finite.
        truncation: Number of trees with pair copulas; None for all.
        pairs: Families of pair copulas, as for `vine`; "gaussian" and "independence" for comparison.
    """

    name = "vine-autoencoder"
    family = "images"
    spread = 0.2  # with larger weights the bounds are too loose to be averaged
    symbol = ">="
    paper = "Tagasovska, Ackerer, Vatter 2019, arXiv:1906.05423"
    objective = "reconstruction"
    settles = True

    latent: int = 10
    likelihood: Likelihood = "auto"
    hidden: tuple[int, ...] = (300, 300)
    activation: str = "silu"
    noise: float = 0.1
    weight: float = 1e-2
    truncation: int | None = None
    pairs: Literal["parametric", "kernel", "all", "gaussian", "independence"] = "all"

    def validate(self) -> None:
        """Check the arguments; the autoencoder takes no condition."""
        super().validate()
        if self.classes or self.condition:
            raise SpecError("expected no labels or conditions: vine-autoencoder models pictures alone")
        self._at_least("latent", 1)
        if not self.hidden or min(self.hidden) < 1:
            raise SpecError(f"expected hidden widths >= 1, at least one, got {self.hidden}")
        if not self.noise > 0 or self.weight < 0:
            raise SpecError(f"expected noise > 0 and weight >= 0, got {self.noise} and {self.weight}")

    def prior(self) -> Flow:
        """Return the vine with marginals, with fresh parameters."""
        return Vine(features=self.latent, truncation=self.truncation, pairs=self.pairs).build()

    def build(self) -> Flow:
        """Return the model."""
        space, width = Real((self.latent,)), self.hidden[-1]
        network = MLP(
            self.space.size, width, hidden=self.hidden[:-1] or self.hidden, activation=self.activation, zero=False
        )
        place = Inverse(Elementwise(Additive(), space, context=width, hidden=(width,), activation=self.activation))
        noise = Standardise(space, torch.zeros(self.latent), torch.full((self.latent,), self.noise))
        encoder = Flow(
            Chain(place, noise),
            Normal(space),
            embed=Scaled(nn.Sequential(network, Activation(self.activation)), self.levels),
            context=Real((self.space.size,)),
        )
        decoder = pixel_decoder(
            self.likelihood, self.shape, self.latent, self.levels, self.hidden[::-1], self.activation
        )
        return Flow(Chain(Stochastic(encoder, decoder)), self.prior())

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the loss of the autoencoder; the vine is fitted after the training."""
        return CodeLikelihood(model, weight=self.weight) if isinstance(model, Flow) else None

    @torch.no_grad()
    def settle(self, model: Distribution, x: Tensor, context: Tensor | None = None) -> None:
        """Fit the vine and its marginals to the codes of training pictures."""
        if not isinstance(model, Flow):
            return
        model.eval()
        chosen = torch.randperm(len(x))[:MOST_CODES].to(x.device)
        codes = torch.cat([model.chain(part)[0] for part in x[chosen].to(model.dtype).split(512)])
        fresh = self.prior().to(codes)
        initialise(fresh, codes)
        model.base.load_state_dict(fresh.state_dict())

    @classmethod
    def cases(cls) -> Iterator[VineAutoencoder]:
        """Yield one spec; its codes have as much noise as the marginals are wide, so that bounds can be averaged."""
        small = {"latent": 2, "hidden": (6,), "noise": 2.0}
        yield cls(shape=(1, 1, 2), levels=2, pairs="gaussian", **small)  # type: ignore[arg-type]
