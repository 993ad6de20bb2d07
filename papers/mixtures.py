"""MADE-MoG and MAF-MoG (Papamakarios et al. 2017, arXiv:1705.07057, table 1) beside MADE, MAF and spline flows.

Data: POWER, its first 26 days, and BSDS300 patches cut anew, as in `power.py` and `bsds.py`. Every model trains for the same
time on one thread. After training, batch normalisation has the moments of all training rows.
"""

from __future__ import annotations

import argparse
import time

import torch
from bsds import gaussian, sets
from common import data, keep, known, table, write

import pushforward as pf
from pushforward.core import Chain, Flow, Real
from pushforward.systems import MADE, MAF, NSF
from pushforward.systems.spec import Spec
from pushforward.transforms import Standardise

PUBLISHED = {"Gaussian": ("-7.74", "96.67"), "MADE": ("-3.08", "148.85"), "MADE-MoG": ("0.40", "153.71")}
PUBLISHED |= {"MAF(5)": ("0.14", "155.69"), "MAF-MoG(5)": ("0.30", "156.36"), "spline flow": ("0.66", "157.54")}


def specs(features: int, hidden: int) -> dict[str, Spec]:
    """The models of the table, with networks of equal width."""
    two = (hidden, hidden)
    mixture = {"base": "autoregressive-mixture", "components": 10}
    return {
        "MADE": MADE(features=features, hidden=two),
        "MADE-MoG": MADE(features=features, hidden=two, conditionals="gaussian-mixture", components=10),
        "MAF(5)": MAF(features=features, layers=5, hidden=two, batch_norm=True),
        "MAF-MoG(5)": MAF(features=features, layers=5, hidden=two, batch_norm=True, **mixture),
        "spline flow": NSF(features=features, layers=2, hidden=hidden),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="training time of each model on patches")
    parser.add_argument("--power-minutes", type=float, default=1.0, help="training time of each model on POWER")
    parser.add_argument("--models", nargs="*", help="names of models; all by default")
    parser.add_argument("--sets", nargs="*", default=["POWER", "BSDS300"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in options.sets:
        if name == "POWER":
            z = data("power_dec2006.npz")
            train, test = z["train"].astype("f8"), z["test"].astype("f8")
            valid, hidden, minutes = z["valid"].astype("f8"), 128, options.power_minutes
        else:
            train, valid, test = sets()
            valid, hidden, minutes = valid[:10_000], 256, options.minutes
        score, error = gaussian(train, test)
        keep("mixtures", "Gaussian", name, value=f"{score:.2f} ± {error:.2f}")
        loc, scale = torch.as_tensor(train.mean(0)).float(), torch.as_tensor(train.std(0)).float()
        rows, held, left_out = (torch.as_tensor(x).float() for x in (train, valid, test))
        space = Real((rows.shape[1],))
        for which, spec in specs(rows.shape[1], hidden).items():
            if options.models and which not in options.models:
                continue
            torch.manual_seed(0)
            model = spec.build()
            front = Standardise(space, loc, scale)
            layers, base = (Chain(model.chain), model.base) if isinstance(model, Flow) else ((), model)
            flow = Flow(Chain(front, *layers), base)
            result = pf.fit(
                flow,
                rows,
                validation=(held, None),
                batch_size=512,
                lr=1e-3,
                max_seconds=60 * minutes,
                epochs=1000,
                patience=1000,
                ema=0.99,
                progress=False,
            )
            pf.training.measure_batch_norm(flow, rows[:200_000])
            logp = pf.training.evaluate(flow, left_out, batch_size=2000).double()
            text = f"{float(logp.mean()):.2f} ± {float(logp.std() / len(logp) ** 0.5):.2f} ({result.steps:,} steps)"
            keep("mixtures", which, name, value=text)
            print(name, which, text, flush=True)
    found = known("mixtures")
    names = ("POWER", "BSDS300")
    rows_of_table = [
        [which, *(cell for k, name in enumerate(names) for cell in (found[which].get(name, ""), PUBLISHED[which][k]))]
        for which in PUBLISHED
        if which in found
    ]
    body = (
        f"Test log-likelihood in nats, mean ± standard error. Each model trained {options.power_minutes:g} minutes on POWER and "
        f"{options.minutes:g} minutes on patches, on one thread, batches of 512. The published models saw all of POWER, of which "
        "this is 1.8 %, and the patches many times over: compare within the table.\n\n"
        + table(
            ["model", "POWER, 26 days", "published, all of it", "BSDS300", "published, fully trained"], rows_of_table
        )
    )
    write("mixtures", "Mixtures as conditionals and as bases", body, started)


if __name__ == "__main__":
    main()
