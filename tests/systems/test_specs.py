"""Specs by kind of data: sizes from data, checked types, widths, labels as context, bases."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.core import Categories, Distribution, Real
from pushforward.distributions import GaussianMixture, StudentT
from pushforward.errors import SpecError
from pushforward.systems import IDF, MAF, NSF, Discrete, Glow, ImageNSF, OTFlow
from pushforward.systems.spec import Spec, former_description, spec_from_dict
from pushforward.systems.vector_spec import VectorSpec

VECTORS = sorted(name for name, cls in Spec.registry.items() if issubclass(cls, VectorSpec))


@pytest.mark.parametrize("name", VECTORS)
def test_every_system_of_vectors_takes_a_label_as_context(name):
    cls = Spec.registry[name]
    small = next(spec for spec in cls.cases() if spec.features > 1)
    values = {k: v for k, v in small.to_dict().items() if k not in ("system", "context", "classes")}
    spec = cls(**values, classes=3)
    model = spec.build()
    # One more label stands for an unknown class.
    assert model.context == Categories((), 4 if name == "flowgmm" else 3)
    label = torch.tensor([0, 1, 2, 1])
    x = torch.randn(4, spec.features)
    assert model.eval().log_prob(x, label).shape == (4,)
    with pytest.raises(SpecError, match="got both"):
        cls(**values, classes=3, context=2)


@pytest.mark.parametrize("name", VECTORS)
def test_every_system_of_vectors_takes_a_base(name):
    cls = Spec.registry[name]
    values = {k: v for k, v in next(iter(cls.cases())).to_dict().items() if k not in ("system", "base")}
    if name in ("flow-matching", "inn"):
        with pytest.raises(SpecError, match="base to be one of 'normal'"):
            cls(**values, base="student")
        return
    if name == "flowgmm":
        with pytest.raises(SpecError, match="one Gaussian for each class"):
            cls(**values, base="student")
        return
    if name == "tzk":
        with pytest.raises(SpecError, match="product of experts"):
            cls(**values, base="student")
        return
    if name == "rnade":
        with pytest.raises(SpecError, match="labels and mixtures have no latent variables"):
            cls(**values, base="student")
        return
    if name == "mixture-of-flows":
        assert all(isinstance(part.base, StudentT) for part in cls(**values, base="student").build().components)
        return
    assert isinstance(cls(**values, base="student").build().base, StudentT)
    own = GaussianMixture(cls(**values).latent_space, 3)
    model = cls(**values, base=own).build()
    assert isinstance(model.base, GaussianMixture)
    assert model.base is not own
    assert model.spec is None


def test_a_model_with_a_base_of_its_own_is_saved_as_put_together_by_hand(tmp_path):
    model = NSF(features=2, layers=1, hidden=8, base=GaussianMixture(Real((2,)), 3)).build().eval()
    pf.save(tmp_path / "own.flow", model)
    x = torch.randn(5, 2)
    assert torch.equal(pf.load(tmp_path / "own.flow").model.log_prob(x), model.log_prob(x))
    with pytest.raises(SpecError, match="plain values"):
        NSF(features=2, base=GaussianMixture(Real((2,)), 3)).to_dict()


def test_sizes_follow_from_data():
    rows = np.zeros((6, 3))
    assert MAF.from_data(rows).to_dict() == MAF(features=3).to_dict()
    assert MAF.from_data(rows, np.zeros((6, 2)), layers=2) == MAF(features=3, context=2, layers=2)
    assert MAF.from_data(rows, np.array([0, 2, 1, 0, 0, 1])) == MAF(features=3, classes=3)
    pictures = np.zeros((6, 1, 4, 4), np.uint8)
    assert Glow.from_data(pictures, np.array([0, 1, 1, 0, 1, 0])) == Glow(shape=(1, 4, 4), classes=2)
    assert Glow.from_data(pictures, np.zeros((6, 1, 4, 4)), levels=2) == Glow(
        shape=(1, 4, 4), condition=(1, 4, 4), levels=2
    )
    assert Discrete.from_data(np.array([[0, 1], [2, 0]])) == Discrete(classes=(3, 2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MAF.from_data(np.zeros(4)), "rows of numbers"),
        (lambda: MAF.from_data(np.zeros((4, 2)), np.zeros(4)), "labels"),
        (lambda: MAF.from_data(np.zeros((2, 2)), np.array([-1, 0])), "labels"),
        (lambda: Glow.from_data(np.zeros((4, 2))), "pictures"),
        (lambda: Discrete.from_data(np.zeros((4, 2))), "whole numbers"),
        (lambda: Discrete.from_data(np.zeros((4, 2), int), np.zeros(4)), "no context"),
    ],
)
def test_data_of_another_kind_are_refused(make, words):
    with pytest.raises(SpecError, match=words):
        make()


def test_hidden_is_a_number_or_a_list_everywhere():
    assert MAF(features=2, hidden=8).hidden == (8,)
    assert NSF(features=2, hidden=[16, 16, 16]) == NSF(features=2, hidden=16, blocks=3)
    assert OTFlow(features=2, hidden=[16]).hidden == 16
    with pytest.raises(SpecError, match="equal widths"):
        NSF(features=2, hidden=[16, 8])
    with pytest.raises(SpecError, match="one width"):
        OTFlow(features=2, hidden=[16, 16])
    with pytest.raises(SpecError, match="hidden"):
        MAF(features=2, hidden="wide")


def test_a_union_of_types_is_checked_and_build_must_return_a_model():
    @dataclass(frozen=True, kw_only=True)
    class Odd(VectorSpec, register=False):
        name = "odd"
        scale: float | None = None

        def build(self) -> Distribution:
            return None

        @classmethod
        def cases(cls):
            yield cls(features=1)

    assert Odd(features=1, scale=2).scale == 2.0
    assert Odd(features=1).scale is None
    with pytest.raises(SpecError, match=r"odd.scale to be float or None, got 'abc'"):
        Odd(features=1, scale="abc")
    with pytest.raises(SpecError, match=r"Odd.build\(\) to return a Distribution, got NoneType"):
        Odd(features=1).build()


def test_names_of_the_version_before_are_read():
    old = {"system": "idf", "shape": [1, 4, 4], "features": 8}
    spec = spec_from_dict(old)
    assert spec == IDF(shape=(1, 4, 4), condition_channels=8)
    assert former_description(spec.to_dict())["features"] == 8


def test_specs_are_pickled_and_copied_by_name_and_values():
    spec = ImageNSF(shape=(1, 4, 4), levels=4)
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(spec) == spec
