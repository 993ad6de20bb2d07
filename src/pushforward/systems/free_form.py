"""Free-form flow: an encoder and a decoder without structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from ..core import Distribution, Flow
from ..errors import SpecError
from ..networks import MLP
from ..objectives import PenalisedLikelihood
from ..transforms import FreeForm
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
        network = partial(MLP, hidden=self.hidden, activation=self.activation)
        return self.flow(FreeForm(self.space, network, network, gradient=self.gradient, context=self.given))

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
