"""VideoFlow: mass of whole clips, frames that are given, causality, memory, continuation and arguments."""

import itertools
import math

import pytest
import torch

import pushforward as pf
from pushforward.core import Exactness, Flow, Real
from pushforward.errors import ShapeError, SpecError
from pushforward.evaluation import encode
from pushforward.evaluation.clips import clip_bits, clip_log_likelihoods, continue_clips
from pushforward.networks import ClipNet
from pushforward.objectives.likelihood import default_objective
from pushforward.systems import Glow, VideoFlow
from pushforward.systems.clip_spec import LaterFrames, of_length
from pushforward.transforms import EachFrame, Innovations, Squeeze

TINY = {"steps": 1, "hidden": 4, "prior_hidden": 3, "blocks": 1, "scales": 1}


def moved(model, by=0.2, seed=0):
    """The model with its weights moved away from their start."""
    torch.manual_seed(seed)
    for p in model.parameters():
        p.data.add_(by * torch.randn(p.shape))
    return model.eval()


def all_frames():
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).reshape(-1, 1, 2, 2)


@pytest.fixture(scope="module")
def tiny():
    spec = VideoFlow(frames=2, shape=(1, 2, 2), levels=2, alpha=0.0, memory=1, **TINY)
    return moved(spec.build(), 0.05)


@pytest.fixture(scope="module")
def larger():
    spec = VideoFlow(frames=4, shape=(1, 4, 4), levels=4, memory=2, **{**TINY, "scales": 2})
    return moved(spec.build())


@torch.no_grad()
def test_probabilities_of_all_clips_sum_to_one(tiny):
    frames = all_frames()
    pairs = torch.stack([frames.repeat_interleave(16, 0), frames.repeat(16, 1, 1, 1)], 1)
    p = tiny.log_prob(pairs.repeat_interleave(200, 0)).exp().reshape(256, 200)
    error = float((p.var(1) / 200).sum().sqrt())
    assert error < 0.03
    assert abs(float(p.mean(1).sum()) - 1) < 4 * error


@torch.no_grad()
def test_probabilities_of_the_next_frame_sum_to_one(tiny):
    frames = all_frames()
    pairs = torch.stack([frames[6].expand(16, -1, -1, -1), frames], 1)
    p = LaterFrames(tiny, 1)(pairs.repeat_interleave(1000, 0)).exp().reshape(16, 1000)
    error = float((p.var(1) / 1000).sum().sqrt())
    assert error < 0.1
    assert abs(float(p.mean(1).sum()) - 1) < 4 * error


def test_whole_clips_are_the_first_frames_and_the_later_ones(larger):
    x = torch.randint(0, 4, (5, 4, 1, 4, 4)).float()
    torch.manual_seed(3)
    whole = larger.log_prob(x)
    torch.manual_seed(3)
    later = LaterFrames(larger, 3)(x)
    torch.manual_seed(3)
    y = larger.chain[0](x)[0]
    three = of_length(larger, 3)
    first = Flow(three.chain[1:], three.base).log_prob(y[:, :3]) - three.space.size * math.log(4)
    assert torch.allclose(first + later, whole, atol=1e-3)


def test_codes_of_a_frame_do_not_depend_on_later_ones(larger):
    x = torch.randint(0, 4, (3, 4, 1, 4, 4)).float()
    other = x.clone()
    other[:, 3] = 3 - other[:, 3]
    pairs = []
    for clips in (x, other):
        torch.manual_seed(5)
        pairs.append(encode(larger, clips))
    for a, b in zip(*pairs, strict=True):
        assert torch.equal(a[:, :, :3], b[:, :, :3])
        assert not torch.equal(a[:, :, 3], b[:, :, 3])


def test_given_frames_stay_and_any_number_of_frames_is_drawn(larger):
    given = torch.randint(0, 4, (3, 2, 1, 4, 4)).float()
    clips = continue_clips(larger, 7, given)
    assert clips.shape == (3, 9, 1, 4, 4)
    assert torch.equal(clips[:, :2], given)
    assert larger.space.nearest(clips[:, :4]).equal(clips[:, :4])
    assert continue_clips(larger, 1, count=2).shape == (2, 1, 1, 4, 4)
    calm = [continue_clips(larger, 5, count=1, temperature=0) for _ in range(2)]
    assert torch.equal(*calm)


def test_clips_of_another_length_share_the_weights(larger):
    longer = of_length(larger, 6)
    assert {id(p) for p in longer.parameters()} == {id(p) for p in larger.parameters()}
    assert longer.space.shape == (6, 1, 4, 4)


@pytest.mark.parametrize("memory", [0, 1, 2])
def test_innovations_depend_on_as_many_frames_as_the_memory(memory):
    space = Real((2, 5, 2, 3))
    layer = moved(Innovations(space, memory, context=Real((1, 5, 2, 3)), hidden=3, blocks=2))
    z, given = torch.randn(2, 2, 5, 2, 3), torch.randn(2, 1, 5, 2, 3)
    other, beside = z.clone(), given.clone()
    other[:, :, 1] += 1
    beside[:, :, 1] += 1
    changed = (layer(other, given)[0] - layer(z, given)[0]).abs().amax((0, 1, 3, 4)) > 1e-6
    assert changed.tolist() == [False, *([True] * (1 + memory)), *([False] * (3 - memory))]
    changed = (layer(z, beside)[0] - layer(z, given)[0]).abs().amax((0, 1, 3, 4)) > 1e-6
    assert changed.tolist() == [False, True, False, False, False]


def test_frames_start_as_equal_to_those_before_plus_noise():
    space = Real((2, 3, 2, 2))
    z = torch.randn(4, *space.shape)
    e, dlogp = Innovations(space, 2, hidden=3, blocks=1)(z)
    assert torch.allclose(e[:, :, 1:], z[:, :, 1:] - z[:, :, :-1])
    assert not dlogp.any()


def test_missing_frames_differ_from_frames_of_zeros():
    net = moved(ClipNet(3, 2, (4, 4), hidden=4, blocks=1))
    assert len(net.blocks[0].branches) == 2  # distances 1 and 2 in pictures of 4 x 4
    layer = moved(Innovations(Real((1, 3, 2, 2)), 2, hidden=3, blocks=1))
    z = torch.zeros(1, 1, 3, 2, 2)
    e = layer(z)[0]
    assert not torch.allclose(e[:, :, 1], e[:, :, 2])


def test_training_scores_the_frames_after_the_given_ones():
    x = torch.randint(0, 4, (8, 3, 1, 4, 4)).float()
    model = VideoFlow(frames=3, shape=(1, 4, 4), levels=4, given=2, **TINY).build()
    assert isinstance(default_objective(model).model, LaterFrames)
    result = pf.fit(model, x, max_steps=2, progress=False, validation=0)
    assert result.steps == 2
    nats = clip_log_likelihoods(model, x, samples=2)
    assert clip_bits(model, nats, 2).value == pytest.approx(
        float(-nats.mean() / 16 / torch.tensor(2.0).log()), rel=1e-5
    )


def test_clips_of_a_model_by_hand_and_exactness(tiny):
    assert tiny.exactness == Exactness.NOISY | Exactness.LOWER
    assert VideoFlow.from_data(torch.zeros(5, 3, 1, 4, 4)).frames == 3
    with pytest.raises(SpecError, match="clips of shape"):
        VideoFlow.from_data(torch.zeros(5, 1, 4, 4))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: VideoFlow(frames=0, shape=(1, 4, 4)), SpecError, "videoflow.frames from 1"),
        (lambda: VideoFlow(frames=2, shape=(1, 4, 4), given=2), SpecError, "videoflow.given from 0 to 1"),
        (lambda: VideoFlow(frames=2, shape=(1, 4, 4), memory=-1), SpecError, "videoflow.memory >= 0"),
        (lambda: VideoFlow(frames=2, shape=(4, 4)), SpecError, "(channels, height, width)"),
        (lambda: VideoFlow(frames=2, shape=(1, 6, 6)).build(), SpecError, "4 divides"),
        (lambda: EachFrame(Squeeze(Real((1, 2, 2))), 0), SpecError, "frames >= 1"),
        (lambda: Innovations(Real((1, 2, 2)), 1), ShapeError, "a space of clips"),
        (lambda: Innovations(Real((1, 2, 2, 2)), 1, context=Real((1, 3, 2, 2))), ShapeError, "a context"),
        (lambda: of_length(Glow(shape=(1, 4, 4)).build(), 2), SpecError, "a model of clips"),
        (lambda: continue_clips(VideoFlow(frames=2, shape=(1, 4, 4)).build(), 0), SpecError, "at least one frame"),
        (
            lambda: continue_clips(VideoFlow(frames=2, shape=(1, 4, 4)).build(), 1, torch.zeros(1, 1, 1, 2, 2)),
            ShapeError,
            "expected given frames",
        ),
    ],
)
def test_bad_arguments_have_one_sentence(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
