"""PixelCNN and PixelRNN: probabilities that sum to one, drawing, contexts, files, compression, training."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.compression import Archive, Item, compress
from pushforward.core import Exactness
from pushforward.errors import SpecError
from pushforward.networks import PixelGatedNet
from pushforward.serialize import load, save
from pushforward.systems import PixelCNN, PixelRNN

SMALL = {"hidden": 6, "first_kernel": 3}
MODELS = {
    "plain": PixelCNN(shape=(1, 3, 3), levels=2, network="plain", blocks=1, **SMALL),
    "gated": PixelCNN(shape=(1, 3, 3), levels=2, blocks=1, **SMALL),
    "transformer": PixelCNN(shape=(1, 3, 3), levels=2, network="transformer", heads=2, blocks=1, hidden=6),
    "row": PixelRNN(shape=(1, 3, 3), levels=2, direction="row", layers=1, **SMALL),
    "diagonal": PixelRNN(shape=(1, 3, 3), levels=2, layers=1, **SMALL),
}


def shaken(spec, spread=0.4):
    torch.manual_seed(0)
    model = spec.build().double().eval()
    for p in model.parameters():
        p.data += spread * torch.randn_like(p)
    return model


def every(shape, levels):
    values = itertools.product(range(levels), repeat=int(np.prod(shape)))
    return torch.tensor(list(values), dtype=torch.float64).reshape(-1, *shape)


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_pictures_sum_to_one(name):
    model = shaken(MODELS[name])
    with torch.no_grad():
        p = model.log_prob(every((1, 3, 3), 2)).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    assert float(p.max()) > 2 * float(p.mean())
    assert model.exactness == Exactness.EXACT


@pytest.mark.parametrize("factor", ["softmax", "logistic"])
@pytest.mark.parametrize("name", ["plain", "gated", "row", "diagonal"])
def test_probabilities_of_all_colours_sum_to_one(name, factor):
    spec = replace(MODELS[name], shape=(3, 1, 2), levels=3, factor=factor, components=2)
    with torch.no_grad():
        assert float(shaken(spec).log_prob(every((3, 1, 2), 3)).exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("fields", [{}, {"shape": (2, 2, 3), "levels": 5}, {"shape": (2, 2, 3), "factor": "logistic"}])
@pytest.mark.parametrize("name", MODELS)
def test_drawing_reports_the_probability_of_what_it_draws(name, fields):
    model = shaken(replace(MODELS[name], **fields, components=2))
    torch.manual_seed(0)
    x, logp = model.sample_and_log_prob(5)
    assert bool(model.space.contains(x).all())
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(x), logp, atol=1e-9, rtol=0)


def test_drawing_with_kept_features_equals_drawing_with_a_pass_for_each_token():
    model = shaken(replace(MODELS["gated"], shape=(2, 3, 3), levels=4))
    torch.manual_seed(0)
    kept = model.sample(20)

    class Plain(torch.nn.Module):
        """The same network without its walk."""

        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, context=None):
            return self.net(x, context)

    model.base.net = Plain(model.base.net)
    torch.manual_seed(0)
    assert torch.equal(model.sample(20), kept)


@pytest.mark.parametrize("name", MODELS)
def test_labels_and_pictures_are_contexts(name):
    spec = replace(MODELS[name], levels=3)
    x = every((1, 3, 3), 3)[:4]
    labelled = shaken(replace(spec, classes=2))
    given = torch.eye(2, dtype=torch.float64)
    assert bool((labelled.log_prob(x, given[[0] * 4]) != labelled.log_prob(x, given[[1] * 4])).all())
    pictured = shaken(replace(spec, condition=(2, 3, 3), condition_channels=4))
    condition = torch.rand(4, 2, 3, 3, dtype=torch.float64) * 2 - 1
    assert bool((pictured.log_prob(x, condition) != pictured.log_prob(x, -condition)).all())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_presets_score_and_draw(name, preset):
    kind = type(MODELS[name])
    choice = {"network": name} if kind is PixelCNN else {"direction": name}
    model = kind.preset(preset, shape=(1, 4, 4), levels=17, **choice).build().eval()
    drawn = model.sample(2)
    assert drawn.shape == (2, 1, 4, 4)
    assert bool(model.log_prob(drawn).isfinite().all())


def test_files_and_archives(tmp_path):
    for name, factor in {"gated": "logistic", "diagonal": "softmax"}.items():
        spec = replace(MODELS[name], shape=(1, 4, 4), levels=16, factor=factor, components=2)
        model = spec.build().eval()
        save(model, tmp_path / "model.flow")
        again = load(tmp_path / "model.flow").model
        assert again.spec == spec
        pictures = np.random.default_rng(0).integers(0, 16, (5, 9, 6, 1)).astype(np.uint8)
        compress(tmp_path / "a.pfz", [Item("pictures", pictures, "array")], model)
        with Archive(tmp_path / "a.pfz", again) as archive:
            assert archive.check() == []
            assert np.array_equal(archive.read("pictures"), pictures)


@pytest.mark.dear
def test_training_starts_at_the_frequencies_and_lowers_the_loss():
    torch.manual_seed(0)
    # Every row repeats the row above it.
    x = torch.randint(0, 2, (300, 1, 1, 4)).expand(-1, -1, 4, -1).float()
    for name in ("gated", "diagonal"):
        model = replace(MODELS[name], shape=(1, 4, 4)).build()
        pf.initialise(model, x)
        start = -float(model.log_prob(x).detach().mean())
        assert start == pytest.approx(16 * np.log(2), rel=0.02)
        pf.fit(model, x, epochs=30, batch_size=50, lr=1e-2, progress=False)
        # The best is 4 log 2 = 2.8 nats.
        assert -float(model.eval().log_prob(x).detach().mean()) < 4.5


def test_arguments_are_checked():
    for fields in ({"kernel": 2}, {"first_kernel": 0}, {"components": 0}, {"shape": (7, 1, 1)}):
        with pytest.raises(SpecError):
            replace(MODELS["gated"], **fields)
    with pytest.raises(SpecError, match="multiple of heads"):
        replace(MODELS["transformer"], heads=4)
    assert isinstance(MODELS["gated"].build().base.net, PixelGatedNet)
