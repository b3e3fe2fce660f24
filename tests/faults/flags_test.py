"""A bad value for each flag of each program, and flags that contradict each other: one line each.

Fails when a new flag has no entry here. The values of options, which all programs share, are in
tests/cli/experiment_flags_test.py.
"""

from unittest import mock

import numpy as np
from PIL import Image
import pytest

from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.storage import optimizer_files
from tests import programs
from tests.cli.experiment_flags_test import ANYTHING_GOES
from tests.cli.experiment_flags_test import BAD_VALUES
from tests.cli.experiment_flags_test import KINDS
from tests.faults import table

LEARNED = "--optimizer=quadratic_lstm"
PICTURES = ["--content=picture.png", "--style=picture.png", "--out=out.png", "--optimizer=lstm"]
BESIDE = {  # what a bad flag stands beside, so that nothing else is wrong
  "train": [],
  "evaluate": ["--problem=bowl"],
  "visualize": [LEARNED, "--problem=bowl", "--transfer"],
  "diagnose": [LEARNED],
  "figures": [f"--results={programs.ROOT / 'results'}"],
  "style": PICTURES,
  "triples": ["--out=out.png", "--optimizer=lstm"],
  "imitate": ["--problem=bowl", "--out=imitated"],
  "zoo": ["--optimizer=Adam", "--horizon=100", "--seeds=1", "--jobs=1"],
  "compile": [],
}
PROGRAMS = {
  "train": programs.load("train"),
  "evaluate": programs.load("evaluate"),
  "visualize": programs.load("visualize"),
  "diagnose": programs.load("diagnose"),
  "figures": programs.load("figures"),
  "style": programs.load("style"),
  "triples": programs.load("triples"),
  "imitate": programs.load("imitate"),
  "zoo": programs.load("zoo"),
  "compile": programs.load("compile"),
}
HELP = {"help": ("--help=maybe", "maybe")}
PROBLEM = {"problem": ("--problem=imagenet", "quadratic")}
BAD = {  # the bad flag; words of the answer
  "zoo": {
    **HELP,
    "optimizer": ("--optimizer=Adum", "Unknown optimizer 'Adum'; known: Adam"),
    "family": ("--family=art", "Unknown family 'art'; known"),
    "task": ("--task=art", "Unknown task 'art'; known"),
    "horizon": ("--horizon=50", "must be of 100, 1000, 10000, got 50"),
    "seeds": ("--seeds=0", "--seeds must be an integer of 1..5, got 0"),
    "jobs": ("--jobs=0", "--jobs must be an integer of 1.."),
    "metric": ("--metric=art", "metric"),
    "runs": ("--runs=file", "file"),
    "results": ("--report --results=file", "file"),
    "overwrite": ("--overwrite=maybe", "maybe"),
    "full": ("--full=maybe", "maybe"),
    "report": ("--report=maybe", "maybe"),
    "docs": ("--report --docs=file", "no results"),
  },
  "train": {
    **HELP,
    **PROBLEM,
    "run_dir": ("--problem=bowl --run_dir=file", "Cannot make the directory file"),
    "resume": ("--resume", "needs the --run_dir"),
    "init_from": ("--problem=bowl --init_from=file", "no directory file"),
    "test_runs": ("--test_runs=1", "must be an integer of 2.."),
    "tuning_runs": ("--tuning_runs=x", "tuning_runs"),
    "search": ("--search=0", "must be an integer of 1.."),
    "strategy": ("--strategy=all", "mirrored"),
    "optimizer": ("--optimizer=gru", "lstm_gac"),
    "preset": ("--preset=huge", "quick"),
    "seed": ("--seed=-1", "at least 0"),
  },
  "evaluate": {
    **HELP,
    **PROBLEM,
    "optimizer": ("--optimizer=nobody", "nobody"),
    "peer": ("--peer=file", "not a NumPy archive"),
    "user_optimizer": (
      "--optimizer=users --user_optimizer=os:x",
      "code mine:tiny builds. Add --user",
    ),
    "transfer": ("--transfer=maybe", "maybe"),
    "num_steps": ("--num_steps=0", "of 1.."),
    "num_runs": ("--num_runs=1", "of 2.."),
    "tuning_runs": ("--tuning_runs=0", "of 1.."),
    "finalist_runs": ("--finalist_runs=1", "must be more than"),
    "seed": ("--seed=-1", "of 0.."),
    "name": ("--name=../x", "letters, digits"),
    "out": ("--out=file", "It is not overwritten"),
    "overwrite": ("--overwrite=maybe", "maybe"),
    "work_dir": ("--work_dir=file", "file"),
  },
  "visualize": {
    **HELP,
    **PROBLEM,
    "optimizer": ("--optimizer=nobody", "nobody"),
    "user_optimizer": (
      "--optimizer=users --user_optimizer=os:x",
      "code mine:tiny builds. Add --user",
    ),
    "transfer": ("--transfer=maybe", "maybe"),
    "coordinates": ("--coordinates=theta", "coordinates"),
    "num_steps": ("--num_steps=0", "num_steps"),
    "num_panels": ("--num_panels=0", "num_panels"),
    "num_values": ("--num_values=4", "num_values"),
    "max_gradient": ("--max_gradient=-1", "max_gradient"),
    "tuning_runs": ("--tuning_runs=0", "tuning_runs"),
    "rates_from": ("--rates_from=file", "file is not"),
    "seed": ("--seed=-1", "seed"),
    "out": ("--out=file", "It is not overwritten"),
    "overwrite": ("--overwrite=maybe", "maybe"),
    "html": ("--html=file", "file is no page of this program"),
    "logdir": ("--logdir=file", "file"),
  },
  "compile": HELP,
  "diagnose": {
    **HELP,
    **PROBLEM,
    "optimizer": ("--optimizer=nobody", "nobody"),
    "user_optimizer": (
      "--optimizer=users --user_optimizer=os:x",
      "code mine:tiny builds. Add --user",
    ),
    "num_steps": ("--num_steps=0", "num_steps"),
    "num_runs": ("--num_runs=0", "num_runs"),
    "seed": ("--seed=-1", "seed"),
  },
  "figures": {
    **HELP,
    "results": ("--results=none", "There are no results in none"),
    "out": ("--out=file", "file"),
  },
  "style": {
    **HELP,
    "content": ("--content=file", "Cannot read the image file"),
    "style": ("--style=file", "Cannot read the image file"),
    "out": ("--out=out.txt", "--out must end in"),
    "overwrite": ("--overwrite=maybe", "maybe"),
    "size": ("--size=2049", "of 32..2048"),
    "num_steps": ("--num_steps=1e3", "num_steps"),
    "optimizer": ("--optimizer=nobody", "nobody"),
    "rival": ("--rival=maybe", "maybe"),
    "seed": ("--seed=-1", "of 0.."),
    "style_weight": ("--style_weight=inf", "must be a number of 0..1000000000"),
    "vgg": ("--vgg=torch", "keras"),
  },
  "triples": {
    **HELP,
    "optimizer": ("--optimizer=nobody", "nobody"),
    "transfer": ("--transfer=maybe", "maybe"),
    "out": ("--out=out.jpg", "must name a .png file"),
    "num_rows": ("--num_rows=0", "of 1..100"),
    "num_steps": ("--num_steps=10001", "of 1..10000"),
    "seed": ("--seed=2147483648", "of 0.."),
    "content_dir": ("--content_dir=none", "No such file"),
    "style": ("--style=file", "Cannot read the image file"),
  },
  "imitate": {
    **HELP,
    **PROBLEM,
    "out": ("--out=file", "file is no directory"),
    "init_from": ("--init_from=file", "no directory file"),
    "optimizer": ("--optimizer=gru", "lstm_gac"),
    "preset": ("--preset=huge", "quick"),
    "teacher_rate": ("--teacher_rate=0", "at least"),
    "warmup_steps": ("--warmup_steps=0", "at least 1"),
    "rounds": ("--rounds=0", "at least 1"),
    "trajectories": ("--trajectories=1001", "at most 1000"),
    "coordinates": ("--coordinates=0", "at least 1"),
    "fit_steps": ("--fit_steps=x", "fit_steps"),
  },
}
MULTIPLE = "must be a multiple of"
CONTRADICTIONS = [  # flags that are good alone, but not together, or not without others
  ("train", "--num_steps=30 --unroll_length=20", MULTIPLE),
  ("train", "--num_steps=20 --unroll_length=40", MULTIPLE),
  ("train", "--num_steps=20 --unroll_length=20 --meta_gradient=segments:3", MULTIPLE),
  ("train", "--meta_gradient=sampled:0", "sampled:K or segments:S"),
  ("train", "--optimizer=lstm_gac --meta_gradient=sampled:5", "do not depend on each other"),
  ("train", "--optimizer=lstm_gac --imitation_rounds=5", "do not depend on each other"),
  ("train", "--optimizer=lstm_gac --layer_sizes=20,4 --num_gacs=5", "num_gacs"),
  ("train", "--optimizer=ntm_bfgs --layer_sizes=4 --num_gacs=5", "num_gacs"),
  ("train", "--problem=general --estimator=backprop", "estimator must be es or pes"),
  ("train", "--estimator=es --meta_gradient=second_derivatives", "is of backpropagation"),
  ("train", "--estimator=es --shortest=200", "shortest must be at most num_steps"),
  ("train", "--optimizer=general --controller_sizes=8,8,8,8,8", "at most 4 elements, got 5"),
  ("train", "--optimizer=lstm --num_gacs=2", "--num_gacs does not apply"),
  ("train", "--optimizer=none:tiny", "There is no module 'none' in"),
  ("train", "--optimizer=mine:tiny --layer_sizes=3", "--layer_sizes does not apply"),
  ("train", "--optimizer=mine:tiny --imitation_rounds=1", "do not depend on each other"),
  ("train", "--learning_rate_decay=1.1", "at most 1"),
  ("train", "--preprocessing=log_and_sign --preprocessing_constant=81", "at most 80"),
  ("train", "--problem=bowl --hidden=20", "--hidden does not apply"),
  ("train", "--problem=mnist --margin=3 --pooling=4", "pooling must divide"),
  ("train", "--problem=bowl --init_from=quadratic_lstm --layer_sizes=3", "layer_sizes"),
  ("train", "--problem=bowl --init_from=quadratic_lstm --optimizer=lstm_gac", "lstm_gac"),
  ("train", "--resume --run_dir=none", "There is no"),
  ("train", "--resume --run_dir=none --init_from=quadratic_lstm", "cannot be given with --resume"),
  ("train", "--search=2 --resume", "--resume cannot be given with --search"),
  ("train", "--search=2 --learning_rate=0.1", "--learning_rate cannot be given with --search"),
  ("train", "--search=2 --init_from=quadratic_lstm", "--init_from cannot be given with --search"),
  ("train", "--search=2 --strategy=mirrored", "--strategy cannot be given with --search"),
  ("train", "--strategy=multi_worker", "needs the environment variable TF_CONFIG"),
  ("evaluate", "--out=x --name=y", "give one of them"),
  ("evaluate", "--out=x --work_dir=./x", "must be two, got x for both"),
  ("evaluate", f"{LEARNED}", "add --transfer"),
  ("evaluate", f"{LEARNED} {LEARNED} --transfer", "another label"),
  ("evaluate", "--hidden=20", "--hidden does not apply"),
  ("visualize", "--notransfer", "add --transfer"),
  ("visualize", "--dimensions=3 --coordinates=theta[3]", "--coordinates"),
  ("visualize", "--optimizer=", "Name the optimizer"),
  ("visualize", "--hidden=20", "--hidden does not apply"),
  ("diagnose", "--optimizer=", "Name the optimizer"),
  ("diagnose", "--problem=bowl --hidden=20", "--hidden does not apply"),
  ("style", "--style=", "--style is missing"),
  ("style", "--out=none/out.png", "no directory none"),
  ("style", "--out=picture.png", "--out must not replace what is read"),
  ("style", "--size=40", "would have 40 x 20; 32 a side are needed"),
  ("triples", f"{LEARNED}", "trained on `problem`=quadratic, not on neural_art; add --transfer"),
  ("imitate", "--out=", "Name the directory"),
  ("imitate", "--out=lstm", "lstm is not empty"),
  ("imitate", "--optimizer=lstm_gac", "must be independent"),
  ("triples", "--content_weight=0 --style_weight=0 --smoothness_weight=0", "must not all be 0"),
]


@pytest.fixture(name="untrained", scope="module")
def _untrained(tmp_path_factory):
  """A directory of an optimizer that has learned nothing, so may paint."""
  directory = tmp_path_factory.mktemp("optimizers") / "lstm"
  optimizer = optimizers.CoordinatewiseLSTM((4,))
  optimizer_files.save_optimizer(str(directory), optimizer, {})
  optimizer.config = lambda: {"kind": "mine:tiny"}
  optimizer_files.save_optimizer(str(directory.parent / "users"), optimizer, {})
  return directory


@pytest.fixture(name="answer")
def _answer(tmp_path, untrained, monkeypatch, capsys):
  """Runs a program that is to refuse in one line and change no file; returns the line."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv("TF_CONFIG", raising=False)
  (tmp_path / "file").write_text("mine")
  (tmp_path / "lstm").symlink_to(untrained)
  (tmp_path / "users").symlink_to(untrained.parent / "users")
  Image.fromarray(np.full((40, 80, 3), 100, np.uint8)).save(tmp_path / "picture.png")

  def run(program, arguments):
    module = PROGRAMS[program]
    arguments = [*BESIDE[program], *arguments.split()]
    status = programs.run(module.main, *arguments)
    lines = capsys.readouterr().err.strip().splitlines()
    assert status in (1, 2) and len(lines) == 1, lines
    assert (tmp_path / "file").read_text() == "mine"
    return lines[0]

  return run


def test_every_program_has_a_table():
  names = {path.stem for path in (programs.ROOT / "bin").glob("*.py")}
  assert names == PROGRAMS.keys() == BESIDE.keys() == BAD.keys()


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_has_an_entry(program):
  flags = set(PROGRAMS[program].make_flags()._values)
  with mock.patch.object(experiment_flags.Flags, "add_options", lambda *args: None):
    own = set(PROGRAMS[program].make_flags()._values)
  assert own <= BAD[program].keys() <= flags
  options = {name for kind in KINDS for name in kind.flags()}
  assert (
    flags - own <= options | BAD[program].keys() and options <= BAD_VALUES.keys() | ANYTHING_GOES
  )


@pytest.mark.parametrize("program, flag", [(p, flag) for p in BAD for flag in BAD[p]])
def test_a_bad_value_is_one_line(program, flag, answer):
  bad, words = BAD[program][flag]
  with table.trial("a bad value of a flag"):
    assert words in answer(program, bad)


@pytest.mark.parametrize("program, arguments, words", CONTRADICTIONS)
def test_contradictions_are_one_line(program, arguments, words, answer):
  with table.trial("flags that contradict each other"):
    assert words in answer(program, arguments)


def test_a_run_is_resumed_with_no_other_hyperparameters(answer):
  values = {"preset": "quick", "problem": "bowl", "optimizer": "lstm"}
  for kind in KINDS:
    values |= {name: field.default for name, field in kind.flags().items()}
  for name, value in values.items():
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    line = answer("train", f"--resume --run_dir=none --{name}={text}")
    assert "cannot be given with --resume: a run keeps the config it began with" in line
