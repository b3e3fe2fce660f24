"""A bad value for each flag of each program, in one line; fails when a new flag has no entry here.

Those of options, which all programs share, are in tests/command_line_test.py.
"""

import dataclasses

import pytest

from tests import programs
from tests.command_line_test import ANYTHING_GOES
from tests.command_line_test import BAD_VALUES
from tests.command_line_test import KINDS

PROGRAMS = {
  "train": programs.load("train"),
  "evaluate": programs.load("evaluate"),
  "visualize": programs.load("visualize"),
  "diagnose": programs.load("diagnose"),
  "figures": programs.load("figures"),
}
SHARED = {field.name for kind in KINDS for field in dataclasses.fields(kind)} - {"seed"}
LEARNED = "--optimizer=quadratic_lstm"
BOWL = ["--problem=bowl", "--transfer"]
BAD = {  # the bad flag and what it needs beside it; words of the answer
  "train": {
    "help": (["--help=maybe"], "maybe"),
    "run_dir": (["--problem=bowl", "--run_dir=file"], "Cannot make the directory file"),
    "resume": (["--resume"], "needs the --run_dir"),
    "init_from": (["--problem=bowl", "--init_from=file"], "no directory file"),
    "test_runs": (["--test_runs=1"], "must be an integer of 2.."),
    "tuning_runs": (["--tuning_runs=x"], "tuning_runs"),
    "search": (["--search=0"], "must be 1.."),
    "strategy": (["--strategy=all"], "mirrored"),
    "optimizer": (["--optimizer=gru"], "lstm_gac"),
    "preset": (["--preset=huge"], "quick"),
    "problem": (["--problem=imagenet"], "quadratic"),
    "seed": (["--seed=-1"], "at least 0"),
  },
  "evaluate": {
    "help": (["--help=maybe"], "maybe"),
    "optimizer": (["--optimizer=nobody"], "nobody"),
    "peer": (["--peer=file"], "not a NumPy archive"),
    "transfer": (["--transfer=maybe"], "maybe"),
    "num_steps": (["--num_steps=0"], "of 1.."),
    "num_runs": (["--num_runs=1"], "of 2.."),
    "tuning_runs": (["--tuning_runs=0"], "of 1.."),
    "seed": (["--seed=-1"], "of 0.."),
    "name": (["--name=../x"], "letters, digits"),
    "out": (["--out=x", "--name=y"], "give one of them"),
    "work_dir": (["--problem=bowl", "--work_dir=file"], "file"),
    "problem": (["--problem=imagenet"], "quadratic"),
  },
  "visualize": {
    "help": (["--help=maybe"], "maybe"),
    "optimizer": (["--optimizer=nobody"], "nobody"),
    "transfer": ([LEARNED, "--transfer=maybe"], "maybe"),
    "coordinates": ([LEARNED, *BOWL, "--coordinates=theta"], "coordinates"),
    "num_steps": ([LEARNED, "--num_steps=0"], "num_steps"),
    "num_panels": ([LEARNED, "--num_panels=0"], "num_panels"),
    "num_values": ([LEARNED, "--num_values=4"], "num_values"),
    "max_gradient": ([LEARNED, "--max_gradient=-1"], "max_gradient"),
    "tuning_runs": ([LEARNED, "--tuning_runs=0"], "tuning_runs"),
    "seed": ([LEARNED, "--seed=-1"], "seed"),
    "out": ([LEARNED, *BOWL, "--out=file"], "file"),
    "logdir": ([LEARNED, *BOWL, "--logdir=file"], "file"),
    "problem": ([LEARNED, "--problem=imagenet"], "quadratic"),
  },
  "diagnose": {
    "help": (["--help=maybe"], "maybe"),
    "optimizer": ([], "Name the optimizer"),
    "num_steps": ([LEARNED, "--num_steps=0"], "num_steps"),
    "num_runs": ([LEARNED, "--num_runs=0"], "num_runs"),
    "seed": ([LEARNED, "--seed=-1"], "seed"),
    "problem": ([LEARNED, "--problem=imagenet"], "quadratic"),
  },
  "figures": {
    "help": (["--help=maybe"], "maybe"),
    "results": (["--results"], "results"),
    "out": (["--out=file"], "file"),
  },
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_has_an_entry(program):
  flags = set(PROGRAMS[program].make_flags()._values)
  assert flags - SHARED <= BAD[program].keys() <= flags
  assert BAD_VALUES.keys() >= SHARED - ANYTHING_GOES


@pytest.mark.parametrize("program, flag", [(p, flag) for p in BAD for flag in BAD[p]])
def test_a_bad_value_is_one_line(program, flag, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "file").write_text("mine")
  module, (args, word) = PROGRAMS[program], BAD[program][flag]
  status = programs.run(module.main, getattr(module, "ERRORS", (OSError,)), *args)
  lines = capsys.readouterr().err.strip().splitlines()
  assert status in (1, 2) and len(lines) == 1 and word in lines[0], lines
  assert (tmp_path / "file").read_text() == "mine"
