"""Any-order models: joint likelihood, conditionals and imputation (Uria, Murray, Larochelle 2014, arXiv:1310.1757).

Parts: the likelihood of red wine beside models with one order, the conditionals of a synthetic mixed table whose truth is
known, imputation of wine beside scikit-learn's IterativeImputer, the table of the demo, and EoNADE on binary data.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import data, keep, known, table, write
from scipy.special import logsumexp
from torch import Tensor, nn

import pushforward as pf
from pushforward.core import Real
from pushforward.distributions import AutoregressiveModel, MixtureFactor
from pushforward.networks import MaskedMLP
from pushforward.objectives import NegativeLogLikelihood, OrderlessLikelihood
from pushforward.systems import NSF, AnyOrder
from pushforward.tables import infer_schema, table_model

MADE = {"mushrooms": "9.81", "adult": "13.55", "dna": "86.1", "nips": "275.1"}
FOLDS, NOISE, TESTED = 4, 0.02, 2000


class Noisy(nn.Module):
    """Objective of rows with noise added in training, because the features of wine are rounded.

    Args:
        objective: Objective of the rows.
    """

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the loss of a batch (x,)."""
        x = batch[0] + NOISE * torch.randn_like(batch[0]) if self.training else batch[0]
        return self.objective((x,))


def wine(f: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the training, validation and test rows of a fold of red wine, standardised by its training rows."""
    z = data("uci_rnade.npz")
    x, fold = z["redwine"].astype("f8"), z["redwine_fold"]
    train, test = x[fold != f], x[fold == f]
    mean, scale = train.mean(0), train.std(0)
    train, test = (train - mean) / scale, (test - mean) / scale
    order = np.random.RandomState(f).permutation(len(train))
    held = len(train) // 10
    return train[order[held:]], train[order[:held]], test


def any_order(features: int, **options: Any) -> Any:
    """Return the model of this page: three residual layers of 256 units, 10 Gaussians."""
    return AnyOrder(features=features, dropout=0.2, **options).build()


def likelihood() -> None:
    """Keep the likelihood of red wine of three models with the same budget, and of the any-order model with S orders."""
    models: dict[str, tuple[Callable[[], Any], Callable[[Any], nn.Module]]] = {
        "spline flow": (
            lambda: NSF(features=11, layers=2, hidden=128, bins=8, bound=4.0, dropout=0.2).build(),
            NegativeLogLikelihood,
        ),
        "one order, mixtures of 10 Gaussians": (
            lambda: AutoregressiveModel(
                Real((11,)), MixtureFactor(10), MaskedMLP(11, 30, hidden=(128, 128), dropout=0.2)
            ),
            NegativeLogLikelihood,
        ),
        "any order": (lambda: any_order(11, orders=16), OrderlessLikelihood),
    }
    for name, (make, objective) in models.items():
        found: list[list[float]] = []
        for f in range(FOLDS):
            train, valid, test = (part.astype("f4") for part in wine(f))
            torch.manual_seed(f)
            model = make()
            pf.fit(
                model,
                train,
                validation=(valid, None),
                objective=Noisy(objective(model)),
                progress=False,
                lr=2e-3,
                batch_size=128,
                epochs=1000,
                patience=100,
                weight_decay=1e-3,
                ema=0.99,
                seed=f,
            )
            with torch.no_grad():
                if name == "any order":
                    each = model.order_log_probs(torch.as_tensor(test)).double().numpy()
                    found.append([-_mixed(each[:s]).mean() for s in (1, 2, 4, 8, 16)] + [float(each.std(0).mean())])
                else:
                    found.append([-float(model.log_prob(torch.as_tensor(test)).mean())])
        keep("any_order", "wine", name, value=np.array(found).tolist())
        print(name, np.mean(found, 0), flush=True)


def _mixed(each: np.ndarray) -> np.ndarray:
    return logsumexp(each, axis=0) - math.log(len(each))


def imputation() -> None:
    """Keep the errors of imputed wine: 20 % of the entries are removed at random."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401  isort: skip
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    errors: dict[str, list[float]] = {}
    for f in range(FOLDS):
        train, valid, test = wine(f)
        rng = np.random.default_rng(f)
        fitted = np.concatenate([train, valid])
        holes, asked = (np.where(rng.random(x.shape) < 0.2, np.nan, x) for x in (fitted, test))
        imputers = {
            "mean of the column": SimpleImputer(),
            "5 nearest rows": KNNImputer(),
            "IterativeImputer": IterativeImputer(max_iter=30, random_state=0),
            "any order (FlowImputer)": pf.FlowImputer(
                hidden=(256, 256, 256), dropout=0.2, max_iter=400, batch_size=128, patience=60, random_state=f
            ),
        }
        for name, imputer in imputers.items():
            filled = imputer.fit(holes).transform(asked)
            gap = np.isnan(asked)
            errors.setdefault(name, []).append(float(np.sqrt(np.mean((filled[gap] - test[gap]) ** 2))))
        print(f, {name: round(values[-1], 4) for name, values in errors.items()}, flush=True)
    keep("any_order", "imputation", value=errors)


def synthetic(rows: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return a mixed table, and the log-probabilities of its label given the other columns, (N, 3).

    The label k is uniform on three values, the count is Poisson with mean 1 + 2 k, and the number is normal with mean
    2 k - count / 2 and deviation 1.
    """
    rng = np.random.default_rng(seed)
    k = rng.integers(0, 3, rows)
    count = rng.poisson(1 + 2 * k)
    number = 2.0 * k - 0.5 * count + rng.standard_normal(rows)
    labels = np.arange(3)
    joint = (
        count[:, None] * np.log(1 + 2 * labels)
        - (1 + 2 * labels)
        - 0.5 * (number[:, None] - 2 * labels + 0.5 * count[:, None]) ** 2
    )
    columns = {"k": np.array(["a", "b", "c"], dtype=object)[k], "count": count, "number": number}
    return columns, joint - logsumexp(joint, axis=1, keepdims=True)


def conditionals() -> None:
    """Keep how far the conditionals of a synthetic table are from the truth, in nats of Kullback-Leibler divergence."""
    columns, _ = synthetic(20_000, 0)
    schema = infer_schema(columns, kinds={"count": "integer", "k": "categorical"})
    rows = schema.encode(columns)
    torch.manual_seed(0)
    model = table_model(schema, "any-order", hidden=(64, 64, 64), dropout=0.0)
    pf.fit(model, rows, validation=0.1, epochs=60, patience=10, batch_size=256, lr=2e-3, progress=False)
    model.eval()
    fresh, of_label = synthetic(5000, 1)
    inside = fresh["count"] <= schema.columns[1].support[1]
    fresh, of_label = {name: values[inside] for name, values in fresh.items()}, of_label[inside]
    encoded = schema.encode(fresh)
    own = np.stack([model.entry_log_prob(_with(encoded, 0, value), 0) for value in range(3)], 1)
    found = {"label given both others": float((np.exp(of_label) * (of_label - own)).sum(1).mean())}
    # p(number | label, count) is normal; p(count | label) is Poisson, without its tail beyond the largest count.
    k, count, number = encoded.T
    truth = -0.5 * (number - 2 * k + 0.5 * count) ** 2 - 0.5 * math.log(2 * math.pi)
    found["number given both others"] = float((truth - model.entry_log_prob(encoded, 2)).mean())
    values = np.arange(schema.columns[1].support[1] + 1)
    logs = values[None] * np.log(1 + 2 * k[:, None]) - np.array([math.lgamma(v + 1) for v in values])
    full = logs - 0.5 * (number[:, None] - 2 * k[:, None] + 0.5 * values[None]) ** 2
    for name, joint, gap in (
        ("count given both others", full, encoded),
        ("count given the label", logs, _with(encoded, 2, np.nan)),
    ):
        truth_of = joint - logsumexp(joint, axis=1, keepdims=True)
        own = np.stack([model.entry_log_prob(_with(gap, 1, value), 1) for value in values], 1)
        found[name] = float((np.exp(truth_of) * (truth_of - own)).sum(1).mean())
    keep("any_order", "conditionals", value=found)
    print(found, flush=True)


def _with(rows: np.ndarray, column: int, value: float) -> np.ndarray:
    changed = rows.copy()
    changed[:, column] = value
    return changed


def demo() -> None:
    """Keep the likelihood of the test rows of the table of `pushforward demo` for three systems."""
    from pushforward.cli.demo import tumours

    found = {}
    options = {"max_seconds": 120, "baselines": False}
    for name, system, more in (
        ("spline flow (--flow nsf)", "nsf", {"layers": 3, "hidden": 32}),
        ("chosen (without --flow)", None, {}),
        ("any order", "any-order", {"orders": 16, "patience": 80}),
        ("any order, linear", "any-order", {"orders": 16, "patience": 80, "linear": True}),
    ):
        model = pf.Table(tumours(), test=0.2).fit(system, **{**options, **more} if system else {"baselines": False})
        scores = model.training["scores"]
        found[name] = [scores["mean"], scores["standard_error"], scores["symbol"]]
        print(name, found[name], flush=True)
    keep("any_order", "demo", value=found)


def binary(names: list[str], seconds: float) -> None:
    """Keep the test likelihood of EoNADE on binary data with 1, 4 and 16 orders."""
    z = data("debd_binary.npz")
    options = {"mushrooms": {}, "adult": {}, "dna": {"dropout": 0.5}, "nips": {"dropout": 0.4}}
    for name in names:
        train, valid, test = (torch.as_tensor(z[f"{name}_{part}"]).long() for part in ("train", "valid", "test"))
        size = train.shape[1]
        torch.manual_seed(0)
        orders = 16 if size < 150 else 4
        model = AnyOrder(
            classes=(2,) * size, hidden=(500, 500), residual=False, orders=orders, **{"dropout": 0.0, **options[name]}
        ).build()
        started = time.time()
        result = pf.fit(
            model,
            train,
            validation=(valid, None),
            batch_size=100,
            lr=1e-3,
            epochs=2000,
            patience=40,
            ema=0.99,
            max_seconds=seconds,
            progress=False,
        )
        with torch.no_grad():
            each = torch.cat([model.order_log_probs(part) for part in test[:TESTED].split(500)], 1).double().numpy()
        found = {str(s): -float(_mixed(each[:s]).mean()) for s in (1, 4, 16) if s <= orders}
        error = float(_mixed(each).std() / len(each[0]) ** 0.5)
        keep("any_order", "binary", name, value=[size, found, error, time.time() - started, result.epochs])
        print(name, found, error, result.epochs, flush=True)


def report(started: float) -> None:
    """Write the page from the parts that were run."""
    kept = known("any_order")
    parts = []
    if "wine" in kept:
        rows = []
        for name, values in kept["wine"].items():
            values = np.array(values)
            for column in range(1 if values.shape[1] == 1 else values.shape[1] - 1):
                label = name if values.shape[1] == 1 else f"{name}, S = {2**column}"
                error = values[:, column].std(ddof=1) / math.sqrt(len(values))
                rows.append([label, f"{values[:, column].mean():.3f} ± {error:.3f}"])
        spread = np.array(kept["wine"]["any order"])[:, -1].mean()
        parts.append(
            f"Red wine, test negative log-likelihood in nats, mean ± standard error over {FOLDS} folds, standardised, training "
            f"noise {NOISE:g} deviations. All models have the same budget of at most 1000 epochs with early stopping. The "
            f"log-likelihoods of the S = 16 orders of a row have a standard deviation of {spread:.2f} nats.\n\n"
            + table(["model", "NLL"], rows)
        )
    if "conditionals" in kept:
        rows = [[name, f"{value:.4f}"] for name, value in kept["conditionals"].items()]
        parts.append(
            "Synthetic table of a label, a count and a number, 20,000 rows: divergence of the conditionals from the truth, in "
            "nats.\n\n" + table(["conditional", "KL"], rows)
        )
    if "imputation" in kept:
        rows = [[name, f"{np.mean(v):.4f}"] for name, v in kept["imputation"].items()]
        parts.append(
            f"Red wine with 20 % of the entries removed at random, from training and test rows: root mean squared error of the "
            f"filled test entries in standardised units, mean over {FOLDS} folds.\n\n"
            + table(["imputer", "RMSE"], rows)
        )
    if "demo" in kept:
        rows = [[name, f"{v[2]} {v[0]:.2f} ± {v[1]:.2f}"] for name, v in kept["demo"].items()]
        parts.append(
            "Table of `pushforward demo`, 569 tumours: log-likelihood of the test rows in nats and raw units.\n\n"
            + table(["model", "nats per row"], rows)
        )
    if "binary" in kept:
        rows = []
        for name, (size, found, error, seconds, _) in kept["binary"].items():
            cells = [f"{found[s]:.3f}" if s in found else "-" for s in ("1", "4", "16")]
            rows.append([name, str(size), *cells, f"{error:.3f}", MADE[name], f"{seconds / 60:.1f} min"])
        parts.append(
            f"EoNADE on binary data, two layers of 500 units: negative log-likelihood of the first {TESTED:,} test rows in nats. "
            "MADE is that of the section on MADE, of all test rows.\n\n"
            + table(["data", "dimensions", "1 order", "4 orders", "16 orders", "error", "MADE here", "time"], rows)
        )
    write("any_order", "Any-order models", "\n\n".join(parts), started)


def main() -> None:
    """Run the parts, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=["wine", "conditionals", "imputation", "demo", "binary"])
    parser.add_argument("--sets", nargs="*", default=list(MADE))
    parser.add_argument("--seconds", type=float, default=240, help="longest training of a binary set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    runs = {"wine": likelihood, "conditionals": conditionals, "imputation": imputation, "demo": demo}
    for part in options.parts:
        if part == "binary":
            binary(options.sets, options.seconds)
        else:
            runs[part]()
    report(started)


if __name__ == "__main__":
    main()
