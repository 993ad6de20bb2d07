"""Free-form flow and injective flow: an encoder and a decoder without structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from ..core import Distribution, Flow, Real
from ..errors import SpecError
from ..networks import MLP
from ..objectives import PenalisedLikelihood
from ..transforms import FreeForm, Injective
from ..transforms.free_form_layer import Gradient
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class FreeFormFlow(VectorSpec):
    """Free-form flow: z = x + encoder(x), x = z + decoder(z), with any networks, trained to invert each other.

    The log-likelihood is approximate. The mass of the density is one only if the encoder is a bijection, so measure it where
    you can, and look at the reconstruction.

    Args:
        hidden: Widths of the hidden layers of both networks.
        reconstruction: Weight of the squared error of the reconstruction.
        gradient: Gradient of the log-determinant in training, "surrogate" or "exact"; see `FreeForm`.
    """

    name = "free-form"
    family = "free-form"
    symbol = "~"
    objective = "likelihood and reconstruction"
    paper = "Draxler, Sorrenson, Zimmermann, Rousselot, Koethe 2024, arXiv:2310.16624"
    spread = 0.15  # with larger weights the encoder is no bijection

    activation: str = "silu"
    hidden: tuple[int, ...] = (128, 128)
    reconstruction: float = 100.0
    gradient: Gradient = "surrogate"

    def validate(self) -> None:
        """Check the weight of the reconstruction."""
        super().validate()
        if not self.reconstruction > 0:
            raise SpecError(f"expected {self.name}.reconstruction > 0, got {self.reconstruction}")

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        return self.flow(
            FreeForm(self.space, self.network(), self.network(), gradient=self.gradient, context=self.given)
        )

    def network(self) -> Callable[..., nn.Module]:
        """Return the function that makes each of the two networks."""
        return partial(MLP, hidden=self.hidden, activation=self.activation)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the negative log-likelihood with the squared error of the reconstruction."""
        return PenalisedLikelihood(model, {"reconstruction": self.reconstruction})

    def exemptions(self) -> Mapping[str, str]:
        """Return the laws that hold only after training, and the export of forward-mode derivatives."""
        apart = "the decoder inverts the encoder only after training"
        return {
            "roundtrip": apart,
            "codes": apart,
            "samples_follow_density": apart,
            "gradients": "the decoder has a part in the penalty and in samples, and none in the density",
            "export": "torch.export fixes the number of rows where it meets forward-mode derivatives",
        }

    @classmethod
    def cases(cls) -> Iterator[FreeFormFlow]:
        """Yield specs with two features, without and with a context."""
        yield cls(features=2, hidden=(8,), activation="tanh")
        yield cls(features=2, hidden=(8,), activation="tanh", context=2, gradient="exact")


@dataclass(frozen=True, kw_only=True)
class InjectiveFlow(FreeFormFlow):
    """Injective flow: an encoder to fewer coordinates and a decoder, any networks, whose images form a manifold.

    The score of a row is the log-density of its projection g(f(x)), with respect to the volume of the manifold. It does not
    measure the distance of the row from the manifold, so look at the reconstruction beside it. Scores of different latent
    dimensions cannot be compared. Tables must have numbers in one unit, since distances between rows count; they are not
    standardised.

    Args:
        latent_size: Number of latent coordinates, the dimension of the manifold: below the number of features.
        reconstruction: Weight b of the squared error of the reconstruction, relative to the mean variance s^2 of the features.
            Noise of variance e^2 around the manifold needs b > s^2 / (2 e^2); otherwise training prefers the noise.
        gradient: Gradient of the volume in training, "surrogate" or "exact"; see `Injective`.
    """

    name = "injective"
    objective = "likelihood on a manifold, and reconstruction"
    paper = "Sorrenson, Draxler, Rousselot, Hummerich, Zimmermann, Koethe 2024, arXiv:2306.01843"
    on_surface = True

    latent_size: int = 2

    def validate(self) -> None:
        """Check the dimension of the manifold."""
        super().validate()
        if not 1 <= self.latent_size < self.features:
            raise SpecError(
                f"expected {self.name}.latent_size from 1 to {self.features - 1}, below the {self.features} features, got "
                f"{self.latent_size}"
            )

    @property
    def latent_space(self) -> Real:
        """Space of the latent coordinates."""
        return Real((self.latent_size,))

    def build(self) -> Flow:
        """Return the flow, which starts from principal components."""
        layer = Injective(
            self.space,
            self.latent_size,
            self.network(),
            self.network(),
            gradient=self.gradient,
            context=self.given,
        )
        return self.flow(layer)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the negative log-likelihood with the squared error of the reconstruction, also in validation."""
        return PenalisedLikelihood(model, {"reconstruction": self.reconstruction}, always=True)

    def exemptions(self) -> Mapping[str, str]:
        """Return the laws of densities in the whole space, and those that hold only after training."""
        surface = "the density is one on a surface, with respect to its volume"
        return {
            "roundtrip": "the decoder inverts the encoder only after training, and only on the manifold",
            "codes": "the decoder inverts the encoder only after training, and only on the manifold",
            "density_is_checked": surface,
            "export": super().exemptions()["export"],
        }

    @classmethod
    def cases(cls) -> Iterator[InjectiveFlow]:
        """Yield specs with five features on a surface, and with a context on a curve."""
        yield cls(features=5, hidden=(8,), activation="tanh")
        yield cls(features=5, latent_size=1, hidden=(8,), activation="tanh", context=2, gradient="exact")
