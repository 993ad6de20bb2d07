"""Systems of images: presets, conditions, starts, drawing in blocks, constant memory, files, training."""

import dataclasses

import pytest
import torch
from torch import nn

from pushforward import systems
from pushforward.core import Chain, Exactness, Flow, Inverse, Real
from pushforward.core.memory import memory_plan, set_memory
from pushforward.errors import ContextError, SpecError
from pushforward.evaluation import bits_per_dimension, decode, encode
from pushforward.networks import CausalTransformer
from pushforward.pictures.datasets import load_dataset
from pushforward.serialize import load, save
from pushforward.training import fit
from pushforward.transforms import ActNorm, Affine, Autoregressive, Coupling, Elementwise, Logit, Slice

DOUBLE = torch.float64
TINY = {"shape": (1, 8, 8), "levels": 17}
SYSTEMS = {
    "nice-image": systems.ImageNICE,
    "realnvp-image": systems.ImageRealNVP,
    "glow": systems.Glow,
    "nsf-image": systems.ImageNSF,
    "flowpp": systems.FlowPP,
    "jet": systems.Jet,
    "tarflow": systems.TarFlow,
}


def tiny(name, **fields):
    return SYSTEMS[name].preset("tiny", **{**TINY, **fields})


def shaken(model, spread=0.1, seed=1):
    """Every weight moved off its start, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        terms = p[0].numel() if p.dim() > 1 else 4
        p.data += spread / max(terms, 4) ** 0.5 * torch.randn(p.shape, generator=generator).to(p.dtype)
    return model


def built(name, **fields):
    torch.manual_seed(0)
    return tiny(name, **fields).build()


def pictures(rows, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 17, (rows, 1, 8, 8), generator=generator).to(dtype)


def scored(model, x, context=None, seed=3):
    """log_prob with the noise of a seed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        return model.log_prob(x, context)


# Building


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_presets_score_and_draw(name, preset):
    torch.manual_seed(0)
    spec = SYSTEMS[name].preset(preset, **TINY)
    model = spec.build().eval()
    assert model.exactness == Exactness.NOISY | Exactness.LOWER
    assert bool(scored(model, pictures(2)).isfinite().all())
    drawn = model.sample(2)
    assert drawn.shape == (2, 1, 8, 8)
    assert bool(model.space.contains(drawn).all())


@pytest.mark.parametrize(("name", "millions"), [("glow", 44.0), ("nsf-image", 11.8), ("flowpp", 31.4)])
def test_paper_presets_on_cifar_have_the_published_number_of_weights(name, millions):
    model = SYSTEMS[name].preset("paper", shape=(3, 32, 32)).build()
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.05)


@pytest.mark.parametrize("name", ["nice-image", "realnvp-image", "jet", "tarflow"])
def test_paper_presets_build(name):
    few = {"layers": 2} if name in {"jet", "tarflow"} else {}
    model = SYSTEMS[name].preset("paper", shape=(3, 16, 16), **few).build()
    assert model.space.shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: tiny("glow", shape=(1, 6, 8)).build(), r"height and width that 4 divides \(2 scales\), got 6 x 8"),
        (lambda: tiny("tarflow", shape=(1, 7, 8)).build(), r"height and width that 2 divides .*got 7 x 8"),
        (lambda: tiny("jet", shape=(8, 8)), r"expected jet.shape to be \(channels, height, width\)"),
        (lambda: tiny("glow", levels=1), r"levels"),
        (lambda: tiny("glow", classes=2, condition=(1, 4, 4)), r"glow.classes or glow.condition, got both"),
        (lambda: tiny("glow", alpha=0.5), r"expected glow.alpha in \[0, 0.5\), got 0.5"),
        (lambda: tiny("jet", dropout=1.0), r"expected jet.dropout in \[0, 1\), got 1.0"),
        (lambda: tiny("flowpp", first=0, middle=0, last=0), r"expected a coupling in flowpp"),
        (lambda: tiny("tarflow", together=0), r"together"),
    ],
)
def test_pictures_and_arguments_that_do_not_fit_are_refused(make, says):
    with pytest.raises(SpecError, match=says):
        make()


# Conditions


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_label_changes_the_density_and_the_drawn_pictures(name):
    model = shaken(built(name, classes=3), spread=0.3).eval()
    x, labels = pictures(4), torch.eye(3)[[0, 1, 2, 0]]
    found = scored(model, x, labels)
    other = scored(model, x, labels.roll(1, 1))
    assert float((found - other).abs().min()) > 1e-4
    torch.manual_seed(1)
    first = model.chain.inverse(torch.randn(1, *model.base.space.shape).expand(1, *model.base.space.shape), labels[:1])[
        0
    ]
    assert first.shape == (1, 1, 8, 8)
    with pytest.raises(ContextError):
        model.log_prob(x)
    with pytest.raises(ContextError):
        model.log_prob(x, torch.eye(4))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_picture_changes_the_density(name):
    model = shaken(built(name, condition=(3, 4, 4), condition_channels=4), spread=0.3).eval()
    x = pictures(3)
    given = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = scored(model, x, given)
    assert float((found - scored(model, x, -given)).abs().min()) > 1e-4
    corner = given.clone()
    corner[:, 0, 0, 0] += 1.0
    assert float((found - scored(model, x, corner)).abs().min()) > 0


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_coupling_of_a_labelled_model_gets_the_label(name):
    model = shaken(built(name, classes=3), spread=0.3).double().eval()
    labels = torch.eye(3, dtype=DOUBLE)
    layers = [m for layer in model.chain.layers for m in layer.modules() if isinstance(m, (Coupling, Autoregressive))]
    for layer in layers:
        if name == "flowpp" and layer.context == model.chain.layers[0].noise.chain.context:
            continue  # of the noise, which is given the picture
        v = torch.randn(1, *layer.x_space.shape, dtype=DOUBLE).expand(3, *layer.x_space.shape)
        z = layer(v, labels)[0]
        assert bool((z[0] != z[1]).any())


def test_every_prior_of_a_labelled_glow_gets_the_label():
    model = shaken(built("glow", classes=3), spread=0.3).double().eval()
    labels = torch.eye(3, dtype=DOUBLE)
    (cut,) = (m for m in model.chain.layers if isinstance(m, Slice))
    v = torch.randn(1, *cut.x_space.shape, dtype=DOUBLE).expand(3, *cut.x_space.shape)
    assert len({round(float(p), 9) for p in cut(v, labels)[1].detach()}) == 3
    top = model.chain.layers[-1]
    assert isinstance(top, Elementwise)
    v = torch.randn(1, *top.x_space.shape, dtype=DOUBLE).expand(3, *top.x_space.shape)
    moved = top(v, labels)[0]
    assert bool((moved[0] != moved[1]).all())


# Starts


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "nice-image"])
@pytest.mark.parametrize("context", [0, 3])
def test_fresh_couplings_do_not_look_at_what_passes(name, context):
    """The last layers of the networks start at zero: a coupling is the same map for all of it, and for all labels."""
    model = built(name, classes=context).double().eval()
    found = 0
    for layer in model.chain.layers:
        inner = layer.layer if isinstance(layer, Inverse) else layer
        if not isinstance(inner, (Coupling, Autoregressive)):
            continue
        found += 1
        a, b = torch.randn(2, 2, *inner.x_space.shape, dtype=DOUBLE)
        c = torch.randn(2, 2, 3, dtype=DOUBLE) if context else (None, None)
        if isinstance(inner, Autoregressive):
            torch.testing.assert_close(inner(a, c[0])[0], a)
            continue
        mapped = inner.halves.split(a)[1]
        first, second = inner.halves.join(a, mapped), inner.halves.join(b, mapped)
        outs = [inner.halves.split(inner(v, g)[0])[1] for v, g in ((first, c[0]), (second, c[1]))]
        torch.testing.assert_close(*outs)
    assert found >= 2


@pytest.mark.parametrize("name", ["realnvp-image", "nsf-image", "jet", "tarflow"])
def test_fresh_models_are_volume_preserving_but_for_preprocessing(name):
    model = built(name).double().eval()
    layers = [m for m in model.chain.layers if not isinstance(m, Slice)]
    later = [m for m in layers[2:] if isinstance(m, (Coupling, Autoregressive, ActNorm))]
    for layer in later:
        v = torch.randn(2, *layer.x_space.shape, dtype=DOUBLE)
        torch.testing.assert_close(layer(v)[1], torch.zeros(2, dtype=DOUBLE), atol=1e-9, rtol=0)


# TarFlow: drawing


def blocks_of(model, together):
    for layer in model.modules():
        if isinstance(layer, Autoregressive):
            layer.block = together
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (DOUBLE, 1e-9)])
@pytest.mark.parametrize("classes", [0, 3])
def test_tarflow_draws_in_blocks_what_it_draws_token_by_token(dtype, tolerance, classes):
    model = shaken(built("tarflow", classes=classes, layers=3), spread=0.4).to(dtype).eval()
    chain = Chain(*model.chain.layers[2:])
    context = torch.eye(3, dtype=dtype)[[0, 1, 2, 0]] if classes else None
    z = torch.randn(4, 16, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, dlogp = blocks_of(model, 1).chain.layers[-1].inverse(z, context)
        whole = chain.inverse(z, context)
        assert float((chain(whole[0], context)[0] - z).abs().max()) < 10 * tolerance
        for together in (2, 5, 16):
            found = blocks_of(model, together).chain.layers[-1].inverse(z, context)
            torch.testing.assert_close(found[0], expected, rtol=0, atol=tolerance)
            torch.testing.assert_close(found[1], dlogp, rtol=0, atol=10 * tolerance)
            again = chain.inverse(z, context)
            torch.testing.assert_close(again[0], whole[0], rtol=0, atol=tolerance)
    # The network matters: without it z would only be shifted and scaled the same way everywhere.
    assert float((expected[:, 0] - z[:, 0]).std()) > 1e-3


def test_tarflow_computes_each_token_once():
    model = built("tarflow").eval()
    calls = []

    class Counting(CausalTransformer):
        def extend(self, tokens, first, cache):
            calls.append(first)
            return super().extend(tokens, first, cache)

    for layer in model.modules():
        if isinstance(layer, CausalTransformer):
            layer.__class__ = Counting
    model.sample(2)
    assert calls == [*range(16), *range(16)]


# Memory


def gradients(model, x, mode):
    set_memory(model, mode)
    model.zero_grad()
    torch.manual_seed(5)
    loss = -model(x).mean()
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["glow", "realnvp-image", "jet"])
def test_constant_memory_has_the_same_gradients(name):
    model, x = shaken(built(name)).train(), pictures(6)
    loss, expected = gradients(model, x, "store")
    for mode in ("invert", "checkpoint"):
        again, found = gradients(model, x, mode)
        assert again == pytest.approx(loss, rel=1e-6)
        for key, g in expected.items():
            size = float(g.norm()) or 1.0
            assert float((found[key] - g).norm()) / size < 1e-4, (mode, key)


def test_no_step_of_glow_is_stored():
    model = built("glow").train()
    plan = memory_plan(model, "invert")
    kept = {}
    for layer, how in plan:
        kept.setdefault(layer.split()[-1].strip("()"), set()).add(how)
    assert kept["ActNorm"] == kept["Linear"] == kept["Coupling"] == kept["Squeeze"] == {"invert"}
    assert all("store" not in how for how in kept.values())


# Files


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_file_holds_the_model(name, tmp_path):
    spec = tiny(name, classes=2)
    torch.manual_seed(0)
    model = shaken(spec.build()).eval()
    save(tmp_path / "model.flow", model, spec=spec)
    saved = load(tmp_path / "model.flow")
    assert saved.spec == spec
    x, labels = pictures(3), torch.eye(2)[[0, 1, 1]]
    assert torch.equal(scored(saved.model.eval(), x, labels), scored(model, x, labels))


# Flow++: noise


def test_flowpp_noise_is_a_flow_given_the_picture():
    model = shaken(built("flowpp"), spread=0.3).eval()
    uniform = shaken(built("flowpp", dequantise="uniform"), spread=0.3).eval()
    assert uniform.chain.layers[0].noise.context is None
    noise = model.chain.layers[0].noise
    x = pictures(1).expand(200, 1, 8, 8)
    with torch.no_grad():
        u = noise.sample((), x)
        assert bool(((u >= 0) & (u <= 1)).all())
        assert float((noise.log_prob(u, x) - noise.log_prob(u, 16 - x)).abs().min()) > 1e-4
        # -log q(u | x) - D log K, and the floor brings the picture back.
        torch.manual_seed(2)
        y, dlogp = model.chain.layers[0](x)
        assert torch.equal(model.chain.layers[0].inverse(y)[0], x)
        torch.testing.assert_close(
            -dlogp - 64 * torch.log(torch.tensor(17.0)),
            noise.log_prob((17 * y - x).clamp(0, 1), x),
            rtol=1e-2,
            atol=0.5,
        )
    for each in (model, uniform):
        found = bits_per_dimension(each, pictures(4), samples=4)
        assert found.symbol == "<="
        assert found.value < 30


def test_the_noise_of_flowpp_learns_with_the_model():
    model = shaken(built("flowpp")).train()
    (-model(pictures(4)).mean()).backward()
    for name, p in model.chain.layers[0].noise.named_parameters():
        assert p.grad is not None, name
        assert bool(p.grad.isfinite().all()), name
    assert float(sum(p.grad.abs().sum() for p in model.chain.layers[0].noise.parameters())) > 0


# Training


def digits():
    part = load_dataset("digits")
    return torch.as_tensor(part.train.images[:600]).float(), torch.as_tensor(part.test.images[:200]).float()


def test_two_epochs_of_glow_on_digits():
    train, test = digits()
    model = built("glow", shape=tuple(train.shape[1:]))
    start = bits_per_dimension(model, test).value
    fit(model, train, epochs=2, batch_size=64, lr=3e-3, ema=0.5, warmup=0, validation=100, progress=False)
    found = bits_per_dimension(model, test)
    assert found.value < start - 0.5
    assert found.value < 4.5
    x = test[:50]
    inner = Flow(Chain(*model.chain.layers[1:]), model.base).double().eval()
    z = (x.double() + 0.5) / 17
    codes = encode(inner, z)
    logit = next(m for m in inner.modules() if isinstance(m, Logit))
    error = (logit(decode(inner, codes))[0] - logit(z)[0]).abs().max()
    assert float(error) < 1e-3


@pytest.mark.parametrize("name", [n for n in SYSTEMS if n != "glow"])
def test_a_few_steps_lower_the_loss(name):
    train, _ = digits()
    model = built(name, classes=0)
    before = bits_per_dimension(model, train[:100]).value
    fit(model, train[:256], epochs=4, batch_size=64, lr=3e-3, ema=0, warmup=0, validation=32, progress=False)
    assert bits_per_dimension(model, train[:100]).value < before - 0.05


def test_fields_of_presets_exist():
    for cls in SYSTEMS.values():
        fields = {field.name for field in dataclasses.fields(cls)}
        for preset in cls.presets.values():
            assert set(preset) <= fields


def test_the_affine_prior_of_glow_is_that_of_the_kept_half():
    """A conditional normal: the log-density by hand from the convolution's mean and scale."""
    model = shaken(built("glow"), spread=0.3).double().eval()
    (cut,) = (m for m in model.chain.layers if isinstance(m, Slice))
    v = torch.randn(2, *cut.x_space.shape, dtype=DOUBLE)
    kept, rest = v[:, :2], v[:, 2:]
    prior = cut.rest.chain
    made = prior.net(kept).unflatten(1, (2, -1)) + prior.free.movedim(-1, 0)
    s = made[:, 0] / torch.sqrt(1 + (made[:, 0] / Affine().bound) ** 2)
    normal = torch.distributions.Normal(-made[:, 1] * (-s).exp(), (-s).exp())
    torch.testing.assert_close(cut(v)[1], normal.log_prob(rest).sum((1, 2, 3)))
    assert cut.x_space == Real((4, 4, 4))
    assert isinstance(prior.net, nn.Conv2d)
