"""Tests of benchmarks/animation.py, and of the picture that README.md shows."""

import numpy as np
from PIL import Image

from benchmarks import animation
from tests import programs


def test_it_draws_a_frame_a_step(tmp_path, capsys):
  out = tmp_path / "new" / "a.gif"
  results = f"--results={programs.ROOT / 'results'}"
  assert programs.run(animation.main, f"--out={out}", "--num_steps=3", results) == 0
  assert f"Written to {out}" in capsys.readouterr().out
  with Image.open(out) as picture:
    assert picture.n_frames == 3
    frames = []
    for index in range(3):
      picture.seek(index)
      frames.append(np.asarray(picture.convert("RGB"), int))
  assert all(np.abs(a - b).max() > 100 for a, b in zip(frames, frames[1:]))


def test_the_committed_one_has_32_steps_and_is_small():
  path = programs.ROOT / "docs" / "figures" / "learned_optimizer.gif"
  assert path.stat().st_size < 1_000_000
  with Image.open(path) as picture:
    assert picture.n_frames == 32
