"""Our own commands as a fault: outputs over inputs, fewer runs over more, runs of odd names."""

import functools
import os
import pathlib

import numpy as np
from PIL import Image
import pytest

from benchmarks import exact_line_search
from l2l_tf import optimizers
from l2l_tf.evaluation import results
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import peers
from tests import programs
from tests import tiny_results
from tests import tiny_training
from tests.cli.paths_test import PAIRS
from tests.faults import table
from tests.faults.flags_test import PROGRAMS
from tests.runs.literal_path_test import NAMES

BOWL = ["--problem=bowl", "--dimensions=3", "--num_steps=4", "--tuning_runs=1"]
LEARNED = "--optimizer=lstm"
ONTO = {  # a command, and what it must leave as it is; {} is another name of that
  "style of a photograph": ("style --content={} --style=paint.png --out=photo.png", "photo.png"),
  "style of a painting": ("style --content=photo.png --style={} --out=paint.png", "paint.png"),
  "triples of a style": ("triples --style={} --out=paint.png", "paint.png"),
  "triples of a folder": ("triples --content_dir={} --out=photos/a.png", "photos"),
  "evaluation of a peer": ("evaluate --peer={} --out=peer.npz --overwrite", "peer.npz"),
  "evaluation of an optimizer": (
    "evaluate --optimizer={} --out=lstm/config.json --overwrite",
    "lstm",
  ),
  "visualization of rates": (
    f"visualize {LEARNED} --rates_from={{}} --out=rates.json --overwrite",
    "rates.json",
  ),
}


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path, monkeypatch):
  """Pictures, a trained optimizer, a peer, a results file, and links to all of them."""
  monkeypatch.chdir(tmp_path)
  os.mkdir("photos")
  for name in ("photo.png", "paint.png", "photos/a.png"):
    Image.fromarray(np.full((40, 80, 3), 100, np.uint8)).save(name)
  optimizer_files.save_optimizer("lstm", optimizers.CoordinatewiseLSTM((3,)), {})
  np.savez("peer.npz", **{n: np.zeros(shape, np.float32) for n, shape in peers.SHAPES.items()})
  results.write("rates.json", tiny_results.make())
  os.mkdir("links")
  for name in os.listdir("."):
    if name != "links":
      os.symlink(tmp_path / name, f"links/{name}")
  return tmp_path


def _bytes(folder="."):
  return {str(p): p.read_bytes() for p in pathlib.Path(folder).rglob("*") if p.is_file()}


def _run(text):
  name, *words = text.split()
  module = PROGRAMS[name]
  return programs.run(module.main, *words)


@pytest.mark.parametrize("case", ONTO)
def test_outputs_over_inputs(case, capsys):
  command, victim = ONTO[case]
  before = _bytes()
  for spelling in (victim, f"./{victim}", os.path.abspath(victim), f"links/{victim}"):
    with table.trial("our own commands: outputs over inputs"):
      assert _run(command.format(spelling)) == 2
      assert "--out must not replace what is read" in capsys.readouterr().err
      assert _bytes() == before


def test_every_program_that_writes_a_file_is_tried():
  """Others write into folders, under names of their own, and not where anything is."""
  files = {program for program, written, _ in PAIRS if written == "out"} - {"figures", "imitate"}
  assert files == {command.split()[0] for command, _ in ONTO.values()}


@pytest.mark.slow
def test_fewer_runs_over_more(here, monkeypatch, capsys):
  """A second time with less, other or none of what made the first."""
  one_rival = functools.partial(programs.work("evaluate").Comparison, rivals=("sgd",))
  monkeypatch.setattr(programs.work("evaluate"), "Comparison", one_rival)
  words = " ".join([*BOWL, LEARNED])
  line = ["--dimensions=2", "--out=line.json"]
  search = functools.partial(programs.run, exact_line_search.main)
  assert _run(f"evaluate {words} --num_runs=3 --out=e.json") == 0
  assert _run(f"visualize {words} --out=v.json --num_values=3 --num_panels=2") == 0
  assert _run("zoo --optimizer=Lion --task=cars_tanh --horizon=100 --seeds=2 --jobs=1") == 0
  assert search("--num_runs=3", *line) == 0
  status, _, err = tiny_training.run_eagerly(
    *tiny_training.BOWL, "--num_epochs=1", "--tuning_runs=0", "--run_dir=run"
  )
  assert status == 0, err
  capsys.readouterr()
  before = _bytes()
  refused = {
    f"evaluate {words} --num_runs=2 --out=e.json": "num_runs 3 (now 2)",
    f"evaluate {words} --num_runs=3 --seed=1 --out=e.json": "seed 0 (now 1)",
    f"evaluate {' '.join(BOWL)} --num_runs=3 --out=e.json": "optimizer lstm",
    f"evaluate {words} --num_runs=3 --out=v.json": "It is not overwritten",
    f"visualize {words} --out=v.json --num_values=3 --num_panels=1": "It is not overwritten",
    f"visualize {words} --out=e.json": "It is not overwritten",
    "train --problem=bowl --run_dir=run": "run is not empty",
    "imitate --problem=bowl --out=run/best": "run/best is not empty",
    "imitate --problem=bowl --out=e.json": "e.json is no directory",
  }
  for command, text in refused.items():
    with table.trial("our own commands: fewer runs over more"):
      assert _run(command) in (1, 2)
      assert text in capsys.readouterr().err, command
      assert _bytes() == before, command
  with table.trial("our own commands: fewer runs over more"):
    assert search("--num_runs=2", *line) == 1 and _bytes() == before


@table.thorough
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_odd_names(name):
  """A run is made, goes on under its name, and is what another one begins from."""
  name = f"./{name}" if name.startswith("~") else name
  with table.trial("our own commands: odd names"):
    words = [f"--run_dir={name}", "--test_runs=2", "--tuning_runs=0"]
    small = [word for word in tiny_training.BOWL if not word.startswith("--t")]
    status, _, err = tiny_training.run(*small, *words)
    assert status == 0, err
    status, out, err = tiny_training.run("--resume", *words)
    assert status == 0 and "Trained 2 of at most 2 epochs" in out, err
    best = os.path.join(name, "best")
    more = [*small, "--test_runs=2", "--tuning_runs=0", "--run_dir=next", f"--init_from={best}"]
    status, _, err = tiny_training.run(*more)
    assert status == 0, err
