"""Tests of benchmarks/neural_art.py: what it compares, and what it reports."""

import json

import numpy as np
from PIL import Image
import pytest

from benchmarks import neural_art
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import intervals
from l2l_tf.problems import photographs
from l2l_tf.problems.datasets import DataError
from l2l_tf.storage.outputs import OutputError
from tests import tiny_vgg

FLAGS = ("--size=32", "--vgg=hed", "--num_runs=2", "--num_steps=3", "--learning_rate=0.5")


@pytest.mark.slow
def test_each_style_gets_a_row_of_the_same_photographs(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  random = np.random.default_rng(0)
  for name in ("stripes", "dots"):
    picture = random.integers(0, 255, [40, 40, 3], np.uint8)
    Image.fromarray(picture).save(tmp_path / f"{name}.png")
  out = tmp_path / "art.json"
  flags = ["neural_art", *FLAGS, f"--styles={tmp_path}/stripes.png,{tmp_path}/dots.png"]
  assert neural_art.main([*flags, f"--out={out}"]) == 0
  found = json.loads(out.read_text())
  assert [row["style"] for row in found["rows"]] == found["styles"] == ["stripes", "dots"]
  assert found["tuning_runs"] == 0 and found["rows"][0]["learning_rate"] == 0.5
  for row in found["rows"]:
    assert str(row["style"]) in found["data"][row["style"]]
    losses = found["final_losses"][row["style"]]
    ratio = intervals.ratio_interval(*(np.array(losses[k]) for k in ("neural_art_lstm", "adam")))
    assert row["ratio"] == pytest.approx(ratio.ratio, rel=1e-5)
    curves = found["mean"][row["style"]]
    assert len(curves["adam"]) == 4 and curves["adam"][0] == curves["neural_art_lstm"][0]
  assert found["final_losses"]["stripes"] != found["final_losses"]["dots"]
  assert not list(tmp_path.glob("*.work")) and "dots" in capsys.readouterr().out
  with pytest.raises(OutputError, match="holds seed 0"):
    neural_art.main([*flags, f"--out={out}", "--seed=1"])


@pytest.mark.parametrize("styles", ["", "--styles=a/x.png,b/x.jpg"])
def test_styles_need_names_of_their_own(styles):
  with pytest.raises(experiment_flags.UsageError, match="--styles must name"):
    neural_art.main(["neural_art", *FLAGS, *([styles] if styles else [])])


def test_a_style_that_cannot_be_read_is_an_error_at_the_start(tmp_path, monkeypatch):
  monkeypatch.setattr(neural_art, "compared", lambda *_: pytest.fail("Something ran."))
  for mode in ("RGB", "L"):
    Image.new(mode, (40, 40)).save(tmp_path / f"{mode}.png")
  with pytest.raises(DataError, match="L.png is a grey image"):
    neural_art.main(["neural_art", *FLAGS, f"--styles={tmp_path}/RGB.png,{tmp_path}/L.png"])
