"""Weights of zuko and nflows: the same log-probabilities, one-pass draws, files, and dictionaries that are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.errors import SpecError

FILE = np.load(Path(__file__).parent / "files" / "peer_weights.npz")
NAMES = sorted({name.split("/")[0] for name in FILE.files if "/" in name})
X, C = torch.from_numpy(FILE["x"]), torch.from_numpy(FILE["c"])


def weights(name):
    """The state dictionary of one flow."""
    start = f"{name}/weights/"
    return {key.removeprefix(start): torch.from_numpy(FILE[key]) for key in FILE.files if key.startswith(start)}


def imported(name):
    """The flow, and the context of the rows or None."""
    flow = pf.import_weights(weights(name), bound=3.0 if name == "nflows-nsf" else 5.0)
    return flow, None if flow.context is None else C


@pytest.mark.parametrize("name", NAMES)
def test_log_probabilities_are_those_of_the_peer(name):
    """To 1e-10 in double precision, forward and back."""
    flow, context = imported(name)
    scores = torch.from_numpy(FILE[f"{name}/scores"])
    assert flow.dtype == torch.float64
    torch.testing.assert_close(flow.log_prob(X, context), scores, rtol=0, atol=1e-10)
    z, dlogp = flow.chain(X, context)
    back, minus = flow.chain.inverse(z, context)
    torch.testing.assert_close(back, X, rtol=0, atol=1e-9)
    torch.testing.assert_close(minus, -dlogp, rtol=0, atol=1e-9)


def test_there_are_flows_of_both_libraries():
    """The file has couplings, autoregressive layers and splines of both."""
    assert len(NAMES) == 9
    assert {name.split("-")[1] for name in NAMES if name.startswith("zuko")} == {"realnvp", "maf", "nsf"}


def test_an_imported_flow_is_saved_and_trained_further(tmp_path):
    """It is made of layers of the library."""
    flow, _ = imported("zuko-maf")
    pf.save(flow, tmp_path / "imported.flow")
    torch.testing.assert_close(pf.load(tmp_path / "imported.flow").model.log_prob(X), flow.log_prob(X))
    before = flow.log_prob(X).mean()
    pf.fit(flow, X, epochs=5, lr=1e-3, progress=False)
    assert flow.log_prob(X).mean() > before


def damaged(name, **changes):
    """A state dictionary with some entries replaced, or left out if None."""
    state = {**weights(name), **{key.replace("__", "."): value for key, value in changes.items()}}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "starts with 'no entry'"),
        ({"layers.0.weight": torch.ones(1)}, "zuko or nflows"),
        (damaged("zuko-maf", transform__transforms__0__order=None), "an order or a mask"),
        (damaged("zuko-maf", transform__transforms__0__order=torch.tensor([0, 0, 1, 1])), "passes"),
        (damaged("zuko-maf", transform__transforms__0__extra=torch.ones(1)), "other weights in layer 0"),
        (damaged("zuko-maf", base__scale=torch.full((4,), 2.0)), "standard normal base"),
        (
            damaged("nflows-maf", _transform___transforms__1__x__context_layer__weight=torch.ones(1)),
            "without a context",
        ),
        (
            {"_transform._transforms.0.log_scale": torch.ones(2), "_transform._transforms.0.shift": torch.ones(2)},
            "layers of RealNVP, MAF or NSF",
        ),
        (damaged("zuko-nsf", transform__transforms__0__hyper__0__weight=torch.ones(2, 2)), "complete weights"),
    ],
)
def test_other_dictionaries_get_one_sentence(state, words):
    """What is not understood is named."""
    with pytest.raises(SpecError, match=words):
        pf.import_weights(state)
