"""Adding numbers with a discrete flow: p(sum | a, b), digit after digit from the lowest.

One autoregressive layer, z_i = (x_i + m_i) mod 10, with an LSTM that sees the digits of the sum before place i and those of both
numbers up to it, on a base of independent digits. Given the numbers the sum is certain, so that the flow must carry it to a
constant: the likelihood should end at 0 nats, and decoding the base's most likely digits give the sum (Tran et al. 2019,
arXiv:1905.10347, section 5.2, with an LSTM of 256 units). The flow learns by the expected loss over its shifts, or by straight-through
gradients. Beside it the same LSTM with a softmax for each digit, which shows what the network can learn without a choice.
"""

from __future__ import annotations

import argparse
import itertools
import time

import torch
from common import keep, known, table, write
from torch.nn import functional as F

from pushforward.core import Categories, Chain, Distribution, Flow, Real
from pushforward.distributions import AutoregressiveCategorical, Categorical
from pushforward.networks import CausalLSTM
from pushforward.objectives import ExpectedChoices, NegativeLogLikelihood
from pushforward.transforms import Autoregressive, Modular, ToOneHot


def problems(count: int, digits: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits of sums, lowest first, (count, digits + 1), and one-hot digits of both numbers (count, digits + 1, 20)."""
    pair = torch.randint(10, (count, 2, digits + 1), generator=generator)
    pair[:, :, -1] = 0
    total, carry = [], torch.zeros(count, dtype=torch.long)
    for i in range(digits + 1):
        both = pair[:, 0, i] + pair[:, 1, i] + carry
        total.append(both % 10)
        carry = both // 10
    return torch.stack(total, 1), F.one_hot(pair, 10).float().transpose(1, 2).flatten(2)


def flow(digits: int, hidden: int, temperature: float) -> Flow:
    """The conditional flow; its base starts with a preference for 0, which straight-through gradients need to start."""
    front = ToOneHot(Categories((digits + 1,), 10))
    scalar = Modular(10, temperature=temperature)
    net = CausalLSTM(10, scalar.n, hidden=hidden, context=20)
    layer = Autoregressive(scalar, front.codes, net, context=Real((digits + 1, 20)))
    base = Categorical(front.codes)
    base.logits.data[:, 0] = 3.0
    return Flow(Chain(front, layer), base)


def softmaxes(digits: int, hidden: int) -> AutoregressiveCategorical:
    """The same network with softmaxes."""
    net = CausalLSTM(10, 10, hidden=hidden, context=20)
    return AutoregressiveCategorical(Categories((digits + 1,), 10), context=Real((digits + 1, 20)), net=net)


class Greedy:
    """The most likely label at every place."""

    def labels(self, logits: torch.Tensor, at: int | None = None) -> torch.Tensor:
        """(B, ..., K) -> (B, ...)."""
        return logits.argmax(-1)


def answers(model: Distribution, given: torch.Tensor) -> torch.Tensor:
    """Most likely symbols of the base, carried back."""
    return model._put_together(lambda base, context: base._generate(Greedy(), len(given), context), given)


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", type=int, nargs="+", default=[4, 10])
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="*", help="others are taken from earlier runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    marks = [options.steps * k // 8 for k in range(1, 9)]
    kinds = {
        "discrete flow, expected loss": lambda digits: flow(digits, options.hidden, options.temperature),
        "discrete flow, straight-through": lambda digits: flow(digits, options.hidden, options.temperature),
        "softmaxes": lambda digits: softmaxes(digits, options.hidden),
    }
    for digits, kind in itertools.product(options.digits, options.kinds or kinds):
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(1)
        model = kinds[kind](digits)
        expected = kind.endswith("expected loss")
        objective = ExpectedChoices(model) if expected else NegativeLogLikelihood(model)
        optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
        test, given = problems(2000, digits, torch.Generator().manual_seed(2))
        curve: dict[str, str] = {}
        for step in range(1, options.steps + 1):
            optimiser.param_groups[0]["lr"] = 4e-3 * (1 - 0.95 * step / options.steps)
            loss = objective(problems(128, digits, generator))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if step in marks:
                with torch.no_grad():
                    exact = float((answers(model, given) == test).all(1).float().mean())
                    nll = -float(model.log_prob(test, given).mean())
                curve[str(step)] = f"{exact:.3f}"
                print(digits, step, exact, nll, flush=True)
                if list(curve.values())[-2:] == ["1.000", "1.000"]:
                    break
        keep("addition", str(digits), kind, value={"curve": curve, "nll": f"{nll:.3f}"})
    rows = []
    for digits, kind in itertools.product(options.digits, kinds):
        run = known("addition").get(str(digits), {}).get(kind)
        if run is not None:
            rows.append([f"{digits} digits, {kind}", *(run["curve"].get(str(m), "") for m in marks), run["nll"]])
    body = (
        "Share of 2000 new problems whose sum is right in every digit, after so many steps of 128 problems; at last the negative "
        "log-likelihood of a sum in nats (0 when certain; "
        + ", ".join(f"{(d + 1) * 2.3026:.1f} for {d} digits" for d in options.digits)
        + " when every digit is a guess).\n\n"
        + table(["numbers of", *(f"{m}" for m in marks), "NLL"], rows)
        + "\n\nThe network learns to add. The straight-through gradient of the flow stops once its softmaxes are sure of wrong shifts; the "
        "expected loss over all shifts does not (`objectives.ExpectedChoices`, with its default settings). A run ends when two shares in a "
        "row are one."
    )
    write("addition", "Addition", body, started)


if __name__ == "__main__":
    main()
