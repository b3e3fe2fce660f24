"""Paths in flags: ~, labels, commas; and no program writes over what it reads."""

import os

import numpy as np
from PIL import Image
import pytest

from l2l_tf import optimizers
from l2l_tf.cli import flags as cli_flags
from l2l_tf.cli import paths
from l2l_tf.cli.flags import UsageError
from l2l_tf.storage import labels
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import peers
from tests import programs
from tests.faults.flags_test import PROGRAMS

NO_PATHS = {"name", "coordinates", "meta_gradient", "user_optimizer"}  # text all the same
NO_PATHS |= {"family", "task"}


def _flags(program):
  return PROGRAMS[program].make_flags()


FLAGS = [(p, flag) for p in PROGRAMS for flag in (*_flags(p)._read, *_flags(p)._written)]
PAIRS = [(p, w, r) for p in PROGRAMS for w in _flags(p)._written for r in _flags(p)._read]


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path, monkeypatch):
  """The current folder, with a home in it."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  (tmp_path / "home").mkdir()
  return str(tmp_path / "home")


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_that_takes_any_text_is_a_path_or_known_to_be_none(program):
  flags = _flags(program)
  free = {
    name
    for name in flags._values
    if flags._values[name].flag_type() in ("string", "multi string")
    and not getattr(flags._values[name].parser, "enum_values", None)
    and not isinstance(flags._values[name].parser, cli_flags._IntTupleParser)
  }
  paths_ = {*flags._read, *flags._written}
  assert free - paths_ <= NO_PATHS and paths_ <= set(flags._values)


def _value(program, flag, text):
  value = getattr(_flags(program).parse(["", f"--{flag}={text}"]), flag)
  return value if isinstance(value, str) else value[0][0]


@pytest.mark.parametrize("program, flag", FLAGS)
def test_a_tilde_is_the_home_in_every_flag(program, flag, home):
  assert _value(program, flag, "~/x/y") == f"{home}/x/y"
  assert _value(program, flag, "x~/y") == "x~/y"
  assert _value(program, flag, "./~") == "./~"


@pytest.mark.parametrize("text", ["~nobody_of_this_name/x", "~nobody_of_this_name/"])
def test_the_home_of_nobody_makes_no_folder(text):
  with pytest.raises(UsageError, match="~nobody_of_this_name is the home of nobody; a folder of"):
    _value("train", "run_dir", text)
  os.mkdir("~nobody_of_this_name")
  assert _value("train", "run_dir", text) == text


def test_labels_commas_and_equals_signs(home):
  assert _value("evaluate", "optimizer", "label=~/x") == f"label={home}/x"
  assert labels.split_label("label=x") == ("label", "x")
  assert _value("evaluate", "optimizer", "a, b=c") == "a"
  for name in ("a,b", " a ", "l=a,b", "~"):
    os.makedirs(f"./{name}/best")
    given = _flags("evaluate").parse(["", f"--optimizer=./{name}/best"]).optimizer
    assert given == [(f"./{name}/best",)]
    assert labels.split_label(f"{name}/best") == (None, f"{name}/best")


def _spellings(path):
  """Names of a file: as it is, from elsewhere, a link to it, a hard one, one to its folder."""
  folder, name = os.path.split(path)
  os.symlink(os.path.abspath(path), "link.png")
  os.link(path, "hard.png")
  os.symlink(os.path.abspath(folder), "folder")
  os.makedirs("other", exist_ok=True)
  yield path
  yield os.path.abspath(path)
  yield f"other/../{path}"
  yield f"{folder}//{name}"
  yield "link.png"
  yield "hard.png"
  yield f"folder/{name}"


@pytest.mark.parametrize("program, written, read", PAIRS)
def test_what_is_read_is_not_written_however_it_is_spelt(program, written, read):
  """A file to read, or one in a folder to read."""
  os.mkdir("in")
  with open("in/file.png", "w") as file:
    file.write("mine")
  for path in _spellings("in/file.png"):
    for source in ("in/file.png", "in", "in/", "folder"):
      with pytest.raises(UsageError, match=f"--{written} must not replace what is read, got"):
        _flags(program).parse(["", f"--{read}={source}", f"--{written}={path}"])
    _flags(program).parse(["", f"--{read}=elsewhere", f"--{written}={path}"])
  with open("in/other.png", "w"):
    pass
  _flags(program).parse(["", f"--{read}=in/file.png", f"--{written}=in/other.png"])
  _flags(program).parse(["", f"--{read}=in", f"--{written}=in"])  # into a folder, under new names


def test_the_defaults_of_outputs_are_looked_at_too(capsys):
  """Where --overwrite is given, which is meant for older results."""
  weights = {name: np.zeros(shape, np.float32) for name, shape in peers.SHAPES.items()}
  os.makedirs("runs/results/visualizations")
  with open("runs/results/bowl_4.json", "wb") as file:
    np.savez(file, **weights)
  evaluate, visualize, triples = (PROGRAMS[n] for n in ("evaluate", "visualize", "triples"))
  bowl = ["--problem=bowl", "--num_steps=4", "--overwrite"]
  peer = "runs/results/bowl_4.json"
  assert programs.run(evaluate.main, *bowl, f"--peer={peer}") == 2
  assert "--out must not replace what is read, got runs/results/bowl" in capsys.readouterr().err
  folder = "runs/results/visualizations"
  optimizer_files.save_optimizer(folder, optimizers.CoordinatewiseLSTM((3,)), {})
  os.rename(peer, f"{folder}/visualizations.json")
  assert programs.run(visualize.main, *bowl, f"--optimizer={folder}") == 2
  assert "--out must not replace what is read, got runs/results/vis" in capsys.readouterr().err
  os.makedirs("runs/figures")
  Image.fromarray(np.full((40, 80, 3), 100, np.uint8)).save("runs/figures/figure_6_64.png")
  words = ["--style=runs/figures/figure_6_64.png", "--size=64"]
  assert programs.run(triples.main, *words) == 2
  assert "--out must not replace what is read" in capsys.readouterr().err


def test_is_read_from_knows_names_that_are_no_paths():
  assert not paths.is_read_from("mnist_lstm", "mnist_lstm")
  assert not paths.is_read_from("x", "tfds:x")
