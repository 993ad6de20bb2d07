"""Flows put together by hand, in files: what comes back, what is refused when saving, what is refused when loading."""

import dataclasses
import hashlib
import json
import pickle
import struct

import pytest
import torch
import torch.distributions as td
from torch import nn

import pushforward as pf
from pushforward.admission import admits
from pushforward.core import Box, Chain, Flow, Inverse, Real, Transform
from pushforward.distributions import ConditionalNormal, FromTorch, Normal, StudentT
from pushforward.errors import FileError, SpecError
from pushforward.functional.ode import Fixed
from pushforward.laws.cases import draw, draw_context
from pushforward.laws.layer_cases import layer_cases
from pushforward.networks import MaskedMLP, Recorded, VelocityMLP
from pushforward.serialize import inspect_file
from pushforward.structure import TORCH, build_structure, describe_structure, known_classes
from pushforward.systems import NSF
from pushforward.transforms import (
    LU,
    Affine,
    Autoregressive,
    Continuous,
    Coupling,
    Elementwise,
    Metropolis,
    Permutation,
    RationalQuadratic,
    Slice,
    half_mask,
)

SPACE = Real((3,))
REFUSED = {
    "leapfrog",
    "annealed-langevin",
    "underdamped",
    "metropolis",
    "autoregressive-jacobi",
    "orderless-table",
    "curved-columns",
    "observed-columns",
    "table-of-places",
}
"""Cases with functions, modules of the laws' own, or columns of a table, which files hold as a schema, as arguments."""


def layers(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, outputs, bias=False))


def own_flow(base=None):
    made = MaskedMLP(3, 23, hidden=(8,), order=(2, 0, 1), zero=False)
    chain = Chain(
        LU(SPACE, rotation=True),
        Permutation(SPACE, [1, 2, 0]),
        Coupling(Affine(bound=2.0), SPACE, half_mask(3), layers),
        Inverse(Autoregressive(RationalQuadratic(8, 4.0), SPACE, made)),
        Continuous(VelocityMLP(3, hidden=(8,)), SPACE, solver=Fixed(steps=3)),
    )
    return Flow(chain, StudentT(SPACE) if base is None else base).eval()


class Doubled(Transform):
    """A layer of the user's."""

    def __init__(self, space, factor=2.0):
        super().__init__()
        self.x_space = self.z_space = space
        self.factor = factor

    def forward(self, x, context=None):
        return self.factor * x, self._nothing(x) + x[0].numel() * torch.tensor(self.factor).log()

    def inverse(self, z, context=None):
        return z / self.factor, self._nothing(z) - z[0].numel() * torch.tensor(self.factor).log()


class Net(Recorded, nn.Module):
    """A network of the user's."""

    def __init__(self, inputs, outputs, width=8):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, width), nn.Linear(width, outputs))

    def forward(self, x):
        return self.net(x)


class Scaling(Recorded, nn.Module):
    """One with a second argument."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.width = inputs

    def forward(self, x, given=None):
        return self.inner(x if given is None else torch.cat([x, given], 1))


class Plain(nn.Module):
    """One without a record."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(1, 4)

    def forward(self, x):
        return self.net(x)


@dataclasses.dataclass(frozen=True)
class Own(Affine):
    """A scalar map of the user's."""


def same(flow, path, **options):
    pf.save(flow, path)
    again = pf.load(path, **options).model
    x = flow.space.random(5)
    context = None if flow.context is None else flow.context.random(5)
    assert torch.equal(again.log_prob(x, context), flow.log_prob(x, context))
    assert repr(again) == repr(flow)
    assert not again.training
    return again


@pytest.mark.parametrize("case", [case for case in layer_cases() if case.name not in REFUSED], ids=lambda c: c.name)
def test_every_layer_and_distribution_comes_back(case):
    torch.manual_seed(0)
    node = case.make().eval()
    inner = isinstance(node, Transform)
    description, own = describe_structure(nn.Sequential(node))
    description = json.loads(json.dumps(description))
    again = _read(description, own)[0].eval()
    again.load_state_dict(node.state_dict())
    assert repr(again) == repr(node)
    x, context = draw(node, "x_space" if inner else "space", 3, torch.float32), draw_context(node, 3, torch.float32)
    torch.manual_seed(1)
    first = node(x, context)
    torch.manual_seed(1)
    second = again(x, context)
    for a, b in zip(first, second, strict=True) if inner else [(first, second)]:
        assert torch.equal(a, b)


def _read(description, own):
    from pushforward.structure import _Builder

    return _Builder(own).read(description)


def test_a_flow_comes_back(tmp_path):
    again = same(own_flow(), tmp_path / "own.flow")
    assert torch.equal(again.sample(3).isfinite(), torch.ones(3, 3, dtype=torch.bool))
    pf.save(tmp_path / "twice.flow", again)
    assert pf.load(tmp_path / "twice.flow").spec is None
    found = inspect_file(tmp_path / "own.flow")
    assert found["model"] == "structure"
    assert found["structure"]["class"] == "Flow"


def test_types_and_training_records_come_back(tmp_path):
    flow = own_flow().double()
    pf.save(flow, tmp_path / "own.flow", training={"epochs": 3})
    saved = pf.load(tmp_path / "own.flow")
    assert saved.model.dtype == torch.float64
    assert saved.training == {"epochs": 3}


@pytest.mark.parametrize(
    "base",
    [
        td.Independent(td.Normal(torch.zeros(3), torch.full((3,), 2.0)), 1),
        td.MultivariateNormal(torch.ones(3), torch.eye(3) + 0.5),
        td.MixtureSameFamily(td.Categorical(torch.ones(2)), td.MultivariateNormal(torch.randn(2, 3), torch.eye(3))),
        td.Laplace(nn.Parameter(torch.zeros(3)), torch.ones(3)),
        FromTorch(td.Gumbel, SPACE, loc=torch.zeros(3), scale=2.0),
    ],
    ids=lambda base: type(base).__name__,
)
def test_bases_of_torch_come_back(base, tmp_path):
    flow = own_flow(base)
    again = same(flow, tmp_path / "own.flow")
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in flow.named_parameters()]


def test_contexts_systems_and_replaced_parts_come_back(tmp_path):
    flow = Flow(Coupling(Affine(), SPACE, half_mask(3), layers, context=2), Normal(SPACE), nn.Linear(4, 2), Real((4,)))
    same(flow.eval(), tmp_path / "given.flow")
    nested = Flow(LU(SPACE), NSF(features=3, layers=1, hidden=8).build())
    same(nested.eval(), tmp_path / "nested.flow")
    rest = ConditionalNormal(Real((2,)), 1, hidden=(8,))
    same(Flow(Slice(SPACE, 1, rest), Normal(Real((1,)))).eval(), tmp_path / "slice.flow")
    flow = Flow(LU(SPACE), Normal(SPACE)).eval()
    flow.base = StudentT(SPACE, df=4.0)
    assert isinstance(same(flow, tmp_path / "replaced.flow").base, StudentT)


def test_own_classes_are_given(tmp_path):
    chain = Chain(Doubled(SPACE, factor=3.0), Coupling(Own(), SPACE, half_mask(3), Net), LU(SPACE))
    flow, path = Flow(chain, Normal(SPACE)).eval(), tmp_path / "own.flow"
    pf.save(flow, path)
    with pytest.raises(FileError, match=r"class Doubled, .*load\(path, classes=\[Doubled\]\)"):
        pf.load(path)
    same(flow, path, classes=[Doubled, Own, Net])


def test_networks_with_an_optional_argument_come_back(tmp_path):
    flow = Flow(Coupling(Affine(), SPACE, half_mask(3), Scaling, context=2), Normal(SPACE)).eval()
    same(flow, tmp_path / "own.flow", classes=[Scaling])


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "own.flow"
    with pytest.raises(
        SpecError, match=r"a Plain, which keeps no record .* class Plain\(pushforward.networks.Recorded"
    ):
        pf.save(Flow(Coupling(Affine(), SPACE, half_mask(3), Plain()), Normal(SPACE)), path)
    with pytest.raises(SpecError, match="got a function as 'target' of Metropolis"):
        pf.save(Flow(Metropolis(lambda x, c: -x.square().sum(1), SPACE), Normal(SPACE)), path)
    layer = LU(SPACE)
    with pytest.raises(SpecError, match=r"copy.deepcopy"):
        pf.save(Flow(Chain(layer, layer), Normal(SPACE)), path)
    with pytest.raises(SpecError, match="expected a model and a path to save"):
        pf.save(path, path)
    assert not path.exists()


def hostile(path, change, flow=None):
    """A file whose description was changed, with hashes that fit."""
    pf.save(flow or Flow(Chain(LU(SPACE), Elementwise(Affine(), SPACE)), Normal(SPACE)), path)
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    document = json.loads(header["__metadata__"]["pushforward"])
    change(document["structure"])
    text = json.dumps(document)
    header["__metadata__"] = {"pushforward": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + content[8 + length :])


def chain_of(structure):
    return structure["arguments"]["chain"]["arguments"]["layers"]


def changed(part, **entries):
    return lambda structure: part(structure).update(entries)


LAYER = {"class": "LU", "arguments": {"space": {"value": "Real", "fields": {"shape": [3]}}}}
HOSTILE = {
    "unknown class": (changed(lambda s: chain_of(s)[0], **{"class": "os.system"}), "class of pushforward"),
    "class is a list": (changed(lambda s: chain_of(s)[0], **{"class": ["LU"]}), "class of pushforward"),
    "function of the library": (changed(lambda s: chain_of(s)[0], **{"class": "half_mask"}), "class of pushforward"),
    "value as a class": (changed(lambda s: chain_of(s)[0], **{"class": "Affine"}), "class of pushforward"),
    "class as a value": (changed(lambda s: chain_of(s)[0]["arguments"]["space"], value="LU"), "class of pushforward"),
    "two kinds": (changed(lambda s: chain_of(s)[0], torch="Linear"), "known kind"),
    "no kind": (lambda s: chain_of(s).__setitem__(0, {}), "known kind"),
    "own class": (lambda s: chain_of(s).__setitem__(0, {"own": "Evil", "arguments": {}}), "the class Evil"),
    "own class of odd name": (lambda s: chain_of(s).__setitem__(0, {"own": "a\nb", "arguments": {}}), r"'a\\nb'"),
    "unknown argument": (changed(lambda s: chain_of(s)[0]["arguments"], extra=1), "unknown 'extra'"),
    "private argument": (changed(lambda s: chain_of(s)[0]["arguments"], self=1), "unknown 'self'"),
    "text for a flag": (changed(lambda s: chain_of(s)[0]["arguments"], rotation="yes"), "another type for 'rotation'"),
    "number for a space": (changed(lambda s: chain_of(s)[0]["arguments"], space=3), "another type for 'space'"),
    "text for a bound": (
        changed(lambda s: chain_of(s)[1]["arguments"]["scalar"]["fields"], bound="4"),
        "another type for 'bound'",
    ),
    "layers is a number": (
        changed(lambda s: s["arguments"]["chain"]["arguments"], layers=3),
        "another type for 'layers'",
    ),
    "a layer is a number": (lambda s: chain_of(s).__setitem__(0, 3), "another type for 'layers'"),
    "huge shape": (
        changed(lambda s: chain_of(s)[0]["arguments"]["space"]["fields"], shape=[10**9]),
        "fit the 24 numbers|1000000000",
    ),
    "large shape": (
        lambda s: chain_of(s).__setitem__(
            0, {"class": "LU", "arguments": {"space": {"value": "Real", "fields": {"shape": [60000]}}}}
        ),
        "far more numbers",
    ),
    "negative shape": (changed(lambda s: chain_of(s)[0]["arguments"]["space"]["fields"], shape=[-3]), "whole numbers"),
    "a layer is a text": (lambda s: chain_of(s).append("LU"), "another type for 'layers' of Chain, got a tuple"),
    "missing argument": (lambda s: chain_of(s)[0]["arguments"].clear(), "TypeError"),
    "arguments is a list": (changed(lambda s: chain_of(s)[0], arguments=[1]), "from which no model can be built"),
    "no distribution": (lambda s: (s.clear(), s.update(LAYER)), "description of a distribution, got one of a LU"),
    "not torch": (
        changed(lambda s: s["arguments"], embed={"torch": "Module", "arguments": {}}),
        "modules .* of torch.nn",
    ),
    "torch with a file": (
        changed(lambda s: s["arguments"], embed={"torch": "Linear", "arguments": {"in_features": "x"}}),
        "modules .* of torch.nn",
    ),
    "torch of wrong types": (
        changed(
            lambda s: s["arguments"],
            embed={"torch": "Linear", "arguments": {"in_features": "x", "out_features": 1, "bias": True}},
        ),
        "another type for 'in_features'",
    ),
    "distribution is no class": (
        lambda s: s["arguments"].update(
            base={"class": "FromTorch", "arguments": {"make": {"distribution": "kl_divergence"}, "space": LAYER}}
        ),
        "class of torch.distributions",
    ),
    "other layers": (lambda s: chain_of(s).append(chain_of(s)[0]), "does not fit the model"),
    "too many layers": (
        lambda s: chain_of(s).extend(
            [{"class": "Identity", "arguments": LAYER["arguments"]}] * 6000,
        ),
        "10,000 parts",
    ),
    "unknown system": (lambda s: s["arguments"].update(base={"system": {"system": "evil"}}), "unknown system"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_descriptions_are_refused(name, tmp_path):
    change, words = HOSTILE[name]
    hostile(tmp_path / "evil.flow", change)
    with pytest.raises(FileError, match=words) as caught:
        pf.load(tmp_path / "evil.flow", classes=[Doubled])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_own_classes_are_not_looked_up_elsewhere(tmp_path):
    def change(structure):
        chain_of(structure)[0] = {"own": "Popen", "arguments": {"args": ["true"]}}

    hostile(tmp_path / "evil.flow", change)
    with pytest.raises(FileError, match="the class Popen"):
        pf.load(tmp_path / "evil.flow")


def test_a_pickle_is_no_file(tmp_path):
    (tmp_path / "p.flow").write_bytes(pickle.dumps(own_flow()))
    with pytest.raises(FileError):
        pf.load(tmp_path / "p.flow")


def test_known_classes():
    known = known_classes()
    assert {"Flow", "Chain", "Coupling", "Normal", "MLP", "Real", "Affine", "Fixed"} <= set(known)
    assert all(hasattr(nn, name) for name in TORCH)
    assert all(issubclass(cls, nn.Module) or dataclasses.is_dataclass(cls) for cls in known.values())


def test_build_structure_is_what_describe_structure_says():
    description, own = describe_structure(own_flow())
    assert own == []
    assert isinstance(build_structure(description), Flow)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 3, True),
        (int, True, False),
        (int, 3.0, False),
        (float, 3, True),
        (float, "3", False),
        (bool, 1, False),
        (float | None, None, True),
        (tuple[int, ...], (1, 2), True),
        (tuple[int, ...], (1, "2"), False),
        (Box, Box((2,)), True),
        (Real, Box((2,)), False),
    ],
)
def test_declared_types_admit(hint, value, expected):
    assert admits(hint, value) is expected
