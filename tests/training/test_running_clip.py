"""Clipping relative to the running mean of the norms."""

import math

import pytest

from pushforward.errors import TrainingError
from pushforward.training.running_clip import RunningClip


def test_the_limit_follows_the_running_mean_of_the_clipped_norms():
    clip = RunningClip(20.0)
    assert clip.largest == math.inf
    assert clip.accepts(2.0)
    assert clip.largest == 40.0
    assert clip.accepts(1.0)
    assert clip.mean == pytest.approx(0.98 * 2 + 0.02 * 1)
    before = clip.mean
    assert clip.accepts(1e9)
    assert clip.mean == pytest.approx(0.98 * before + 0.02 * 20 * before)


def test_some_bad_steps_are_left_out_and_many_in_a_row_end_training():
    clip = RunningClip(20.0, limit=3)
    assert clip.accepts(1.0)
    for _ in range(4):
        assert not clip.accepts(math.nan)
        assert not clip.accepts(math.inf)
        assert clip.accepts(1.0)
    assert clip.mean == pytest.approx(1.0)
    assert not clip.accepts(math.nan)
    assert not clip.accepts(math.nan)
    with pytest.raises(TrainingError, match="not finite for 3 steps in a row; lower lr"):
        clip.accepts(math.nan)
