"""Where programs write: nothing outside `runs/` unless told, and never in the place of more."""

import functools
import importlib
import json
import os
import pathlib
import re
import shlex

import pytest

from benchmarks import exact_line_search
from l2l_tf import optimizers
from l2l_tf.cli import experiment_flags
from l2l_tf.evaluation import candidates
from l2l_tf.evaluation import results
from l2l_tf.evaluation.comparison import Setting
from l2l_tf.inspection import proposal_files
from l2l_tf.problems import photographs
from l2l_tf.storage import files
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import outputs
from l2l_tf.storage import phi_files
from tests import programs
from tests import tiny_results
from tests import tiny_training
from tests import tiny_vgg
from tests.evaluation import results_test
from tests.faults.flags_test import PROGRAMS

OLD = outputs.Content({"data": "all", "optimizer a": "1"}, {"num_runs": 5})


def _check(path, same=None, counts=None, overwrite=False):
  new = outputs.Content(OLD.same | (same or {}), OLD.counts | (counts or {}))
  outputs.check(str(path), new, overwrite, lambda path: OLD)


def test_what_has_all_that_is_there_and_more_takes_its_place(tmp_path):
  path = tmp_path / "r.json"
  _check(path, {"data": "others"})  # nothing is there
  path.write_text("{}")
  _check(path)
  _check(path, {"optimizer b": "2"}, {"num_runs": 6})
  _check(path, {"data": "others"}, {"num_runs": 1}, overwrite=True)
  outputs.check(None, OLD, False)  # nothing is written


def test_what_lacks_something_does_not_and_all_of_it_is_said(tmp_path):
  path = tmp_path / "r.json"
  path.write_text("{}")
  with pytest.raises(outputs.OutputError) as info:
    _check(path, {"data": "some"}, {"num_runs": 4})
  words = f"{path} holds data all (now some); num_runs 5 (now 4). It is not overwritten: name"
  assert str(info.value) == f"{words} another `out`, move it away, or add `overwrite`."
  with pytest.raises(outputs.OutputError, match=r"holds optimizer a 1 \(now none\)\. It is not"):
    outputs.check(
      str(path), outputs.Content({"data": "all"}, {"num_runs": 5}), False, lambda _: OLD
    )


@pytest.mark.parametrize("content", ["notes", "[]", '{"data": "all"}', '{"num_runs": "many"}'])
def test_files_of_something_else_are_left_alone(tmp_path, content):
  path = tmp_path / "mine.json"
  path.write_text(content)
  with pytest.raises(outputs.OutputError, match=r"mine\.json .* It is not overwritten"):
    outputs.check(str(path), OLD, False)
  outputs.check(str(path), OLD, True)
  with pytest.raises(outputs.OutputError, match="is a directory; name a file with `out`"):
    outputs.check(str(tmp_path), OLD, True)


def test_json_objects_are_compared_by_the_keys_of_the_new_one(tmp_path):
  path = str(tmp_path / "r.json")
  files.write_json(path, {**OLD.same, **OLD.counts, "rows": []})
  outputs.check(path, OLD, False)
  with pytest.raises(outputs.OutputError, match=r"num_runs 5 \(now 4\)"):
    outputs.check(path, outputs.Content(OLD.same, {"num_runs": 4}), False)


BOWL = ["--problem=bowl", "--dimensions=3", "--num_steps=4", "--tuning_runs=1"]
LEARNED = "--optimizer=optimizer"
ART = ["--size=32", "--vgg=hed", "--num_steps=1", "--num_rows=1"]
ZOO = ["--task=cars_tanh", "--horizon=100", "--seeds=1", "--jobs=1"]
TABLE = {  # arguments of each program, and how what it writes begins; None: it insists on --out
  "train": ([*tiny_training.BOWL, "--num_epochs=1", "--tuning_runs=0"], "bowl-2"),
  "evaluate": ([*BOWL, LEARNED, "--num_runs=2"], "results/bowl_4.json"),
  "visualize": ([*BOWL, LEARNED], "results/visualizations/optimizer.json"),
  "figures": ([], "figures/figure_4.svg"),
  "triples": ([*ART, LEARNED], "figures/figure_6_32.png"),
  "style": (["--content=x.jpg", "--style=x.jpg"], None),
  "imitate": (["--problem=bowl"], None),
  "diagnose": ([*BOWL[:-1], LEARNED, "--num_runs=1"], ""),
  "zoo": (["--optimizer=Lion", *ZOO], "zoo/zoo_Lion.json"),
  "compile": ([], ""),
}


def _files(directory):
  """The content of all files by their paths."""
  return {
    str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
  }


def test_every_program_is_in_the_table():
  assert TABLE.keys() == PROGRAMS.keys()  # which tests/faults/flags_test.py keeps complete


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_programs_write_under_runs_only(name, tmp_path, monkeypatch, request):
  """In a directory like a clone's: what is there stays as it is."""
  if name == "compile":
    request.getfixturevalue("kernel")  # the cache is not the user's
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  program = PROGRAMS[name]
  if name == "evaluate":
    work = programs.work("evaluate")
    monkeypatch.setattr(work, "Comparison", functools.partial(work.Comparison, rivals=("sgd",)))
  optimizer_files.save_optimizer("optimizer", optimizers.CoordinatewiseLSTM((3,)), {})
  for folder in ("results/visualizations", "docs/figures"):
    os.makedirs(folder)
  for panel in programs.work("figures").FIGURES["figure_4"]:
    results.write(f"results/{panel.file}", tiny_results.make(panel.problem, panel.num_steps))
  proposal_files.write("results/visualizations/optimizer.json", tiny_results.visualization())
  for path in ("results/bowl_4.json", "docs/figures/figure_4.svg", "docs/figures/figure_6_32.png"):
    pathlib.Path(path).write_text("committed")
  before = _files(tmp_path)
  arguments, written = TABLE[name]
  status = programs.run(program.main, *arguments)
  after = _files(tmp_path)
  new = {path for path in after if path not in before}
  assert {path: after[path] for path in before} == before
  assert all(path.startswith("runs/") for path in new)
  if written is None:
    assert status == 2 and not new
  else:
    assert status == 0 and any(path.startswith(f"runs/{written}") for path in new) == bool(written)


BENCHMARKS = sorted(
  path.stem
  for path in (programs.ROOT / "benchmarks").glob("*.py")
  if "def main(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_write_under_runs_or_only_where_told(name, monkeypatch, capsys):
  defaults, add = {}, experiment_flags.Flags.add

  def spy(self, kind, flag, default, *args, **options):
    defaults[flag] = default
    add(self, kind, flag, default, *args, **options)

  monkeypatch.setattr(experiment_flags.Flags, "add", spy)
  with pytest.raises(SystemExit):
    importlib.import_module(f"benchmarks.{name}").main([name, "--help"])
  assert "--help" in capsys.readouterr().out and "help" in defaults
  assert (defaults.get("out") or "runs/").startswith("runs/")


def _parsed(program, words):
  return PROGRAMS[program].make_flags().parse([program, *words])


@pytest.mark.parametrize("path", results_test.COMMITTED, ids=str)
def test_committed_results_record_a_command_of_this_file_and_setting(path):
  """Old ones wrote `--name`.json into results/; new ones are written to any folder, and copied."""
  read = results.read(str(path))
  python, program, *words = shlex.split(read["command"])
  assert (python, program) == ("python", "bin/evaluate.py")
  flags = _parsed("evaluate", words)
  assert pathlib.Path(flags.out or f"{flags.name}.json").name == path.name
  assert not flags.overwrite
  setting = Setting(flags.problem, experiment_flags.problem(flags), 1, 2, 1)
  assert setting.config() == read["problem"]
  for key in ("num_steps", "num_runs", "tuning_runs", "seed"):
    assert getattr(flags, key) == read[key]
  for entry in read["optimizers"].values():
    if entry.get("source", "").startswith("pretrained/"):
      weights = programs.ROOT / "l2l_tf" / entry["source"] / phi_files.WEIGHTS_FILE
      assert candidates._file_digest(str(weights)) == entry["sha256"]


VISUALIZED = sorted((programs.ROOT / "results" / "visualizations").glob("*.json"))


@pytest.mark.parametrize("path", VISUALIZED, ids=lambda path: path.name)
def test_committed_visualizations_record_a_command_of_this_file_and_setting(path):
  read = proposal_files.read(str(path))
  flags = _parsed("visualize", shlex.split(read["command"])[2:])
  assert os.path.basename(flags.out or f"{flags.optimizer}.json") == path.name
  setting = Setting(flags.problem, experiment_flags.problem(flags), 1, 2, 1)
  assert setting.config() == read["problem"] and flags.num_steps == read["num_steps"]


def _examples():
  """The commands of our programs in the README, in docs/ and in what --help prints."""
  paths = [programs.ROOT / "README.md", *sorted((programs.ROOT / "docs").rglob("*.md"))]
  texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
  texts |= {f"{name}.py": program.__doc__ for name, program in PROGRAMS.items()}
  for source, text in texts.items():
    for line in text.replace("\\\n", " ").splitlines():
      if match := re.search(r"python bin/(\w+)\.py( .*|$)", line):
        words = shlex.split(re.split(r'["`]| #', match[2])[0])
        given = [word for word in words if "$" not in word and "..." not in word]
        yield pytest.param(match[1], given, id=f"{source}: {match[1]} {' '.join(given)}"[:90])


@pytest.mark.parametrize("program, words", [*_examples()])
def test_the_flags_of_printed_commands_are_there(program, words):
  if words == ["--help"]:
    return
  flags = _parsed(program, words)
  assert flags.given().keys() >= {re.match(r"--(\w+)", word)[1] for word in words}


def test_a_benchmark_of_fewer_runs_does_not_replace_more(tmp_path, monkeypatch, capsys):
  out = tmp_path / "out.json"
  run = functools.partial(programs.run, exact_line_search.main)
  assert run("--num_runs=3", "--dimensions=2", f"--out={out}") == 0
  before = out.read_text()
  assert json.loads(before)["num_runs"] == 3
  monkeypatch.setattr(exact_line_search, "run", None)  # it is refused before anything runs
  for words in (["--num_runs=2", "--dimensions=2"], ["--num_runs=3", "--dimensions=1"]):
    assert run(*words, f"--out={out}") == 1
    err = capsys.readouterr().err
    assert "It is not overwritten: name another --out, move it away, or add --overwrite." in err
  assert out.read_text() == before
