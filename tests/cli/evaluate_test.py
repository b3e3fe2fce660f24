"""Tests of bin/evaluate.py, in-process on the bowl."""

import functools
import json

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf.config import presets
from l2l_tf.config import problems as problem_options
from l2l_tf.evaluation import results
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import peers
from tests import programs
from tests import tiny_results

evaluate = programs.load("evaluate")
SMALL = ("--problem=bowl", "--num_steps=4", "--num_runs=3", "--tuning_runs=1")


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path, monkeypatch):
  """One rival, in an empty directory with a trained optimizer of the bowl and a peer's weights."""
  rivals = functools.partial(programs.work("evaluate").Comparison, rivals=("sgd",))
  monkeypatch.setattr(programs.work("evaluate"), "Comparison", rivals)
  monkeypatch.chdir(tmp_path)
  experiment = presets.PRESETS["quick"]["bowl"].to_dict()
  lstm = optimizers.CoordinatewiseLSTM((4,))
  optimizer_files.save_optimizer("runs/bowl_lstm/best", lstm, {"experiment": experiment})
  weights = {name: np.zeros(shape, np.float32) for name, shape in peers.SHAPES.items()}
  np.savez("peer.npz", **weights)
  return tmp_path


def _run(*arguments) -> int:
  return programs.run(evaluate.main, *arguments)


@pytest.mark.slow
def test_compares_learned_optimizers_and_peers_with_tuned_rivals(here, capsys):
  directory = str(here / "runs" / "bowl_lstm" / "best")
  assert _run(*SMALL, f"--optimizer={directory},twin=runs/bowl_lstm/best", "--peer=peer.npz") == 0
  written = results.read("runs/results/bowl_4.json")
  entries = written["optimizers"]
  kinds = {name: entry["kind"] for name, entry in entries.items()}
  learned = {"bowl_lstm": "learned", "twin": "learned", "peer": "peer"}
  assert kinds == learned | {"sgd": "rival"}
  assert entries["bowl_lstm"]["mean"] == entries["twin"]["mean"]
  assert len(set(entries["peer"]["mean"])) == 1  # all its weights are 0: it stands still
  assert results.ratio_of(written, "bowl_lstm", "twin") == (1, 1, 1)
  assert str(here) not in (here / "runs" / "results" / "bowl_4.json").read_text()
  assert "--optimizer=runs/bowl_lstm/best" in written["command"]
  assert [path.name for path in (here / "runs" / "results").iterdir()] == ["bowl_4.json"]
  table = capsys.readouterr().out
  for name, entry in entries.items():
    assert name in table and f"{entry['final_loss']['mean']:.4g}" in table


def test_longer_runs_are_compared_early_too(capsys):
  made = tiny_results.make(num_steps=120)
  programs.work("evaluate")._print_table(made, dict.fromkeys(made["optimizers"], 1.0))
  text = "adam reaches the loss that mnist_lstm has at step 100 first, at step 10"
  assert text in capsys.readouterr().out
  behind = tiny_results.make(num_steps=120, mnist_lstm=tiny_results.curves(1.0, 6, 120))
  programs.work("evaluate")._print_table(behind, dict.fromkeys(behind["optimizers"], 1.0))
  printed = capsys.readouterr().out
  assert "no rival reaches the loss that mnist_lstm has at step 100" in printed
  assert "mnist_lstm is ahead of all rivals from step 1 on; in means of 10 points from" in printed
  curves = np.where(np.arange(121) > 50, np.inf, tiny_results.curves(0.1, 6, 120))
  diverged = tiny_results.make(num_steps=120, mnist_lstm=curves)
  programs.work("evaluate")._print_table(diverged, dict.fromkeys(diverged["optimizers"], 1.0))
  printed = capsys.readouterr().out
  assert "mnist_lstm has no finite loss at step 100." in printed
  assert "mnist_lstm is not ahead of all rivals at the end" in printed


@pytest.mark.slow
def test_resumes_after_an_interruption(here, monkeypatch, capsys):
  arguments = (*SMALL, "--optimizer=runs/bowl_lstm/best")
  assert _run(*arguments, "--name=undisturbed") == 0
  comparison, left = programs.work("evaluate").Comparison, [2]

  def interrupted(*args, progress, **options):
    def count(name, runs):
      left[0] -= 1
      if left[0] == 0:
        raise KeyboardInterrupt
      progress(name, runs)

    return comparison(*args, progress=count, **options)

  monkeypatch.setattr(programs.work("evaluate"), "Comparison", interrupted)
  assert _run(*arguments, "--name=interrupted") == 130
  assert "the same command goes on" in capsys.readouterr().out
  assert not (here / "runs" / "results" / "interrupted.json").exists()
  assert len(list((here / "runs" / "results" / "interrupted.json.work").iterdir())) == 2
  assert _run(*arguments, "--name=interrupted") == 0
  first, second = (results.read(f"runs/results/{n}.json") for n in ("undisturbed", "interrupted"))
  assert first | {"command": ""} == second | {"command": ""}
  assert not (here / "runs" / "results" / "interrupted.json.work").exists()


def test_a_named_work_directory_stays(here):
  assert _run(*SMALL, "--work_dir=cache", "--name=rivals") == 0
  before = len(list((here / "cache").iterdir()))
  assert before == 2
  assert _run(*SMALL, "--work_dir=cache", "--optimizer=runs/bowl_lstm/best") == 0
  assert len(list((here / "cache").iterdir())) == before + 1


@pytest.mark.slow
def test_results_that_have_all_of_the_older_ones_replace_them(here):
  assert _run(*SMALL, "--out=o.json", "--optimizer=a=runs/bowl_lstm/best") == 0
  both = "--optimizer=a=runs/bowl_lstm/best,b=runs/bowl_lstm/best"
  assert _run(*SMALL, "--num_runs=4", "--tuning_runs=2", "--out=o.json", both) == 0
  written = results.read("o.json")
  assert written["num_runs"] == 4 and {*written["optimizers"]} == {"a", "b", "sgd"}


LESS = [
  (["--num_runs=2"], "holds num_runs 3 (now 2)."),
  (["--finalist_runs=0", "--tuning_runs=1"], "tuning_runs 2 (now 1); finalist_runs 3 (now 0)."),
  (["--seed=1"], "holds seed 0 (now 1)."),
  (["--num_steps=5"], "holds num_steps 4 (now 5)."),
  (["--dimensions=4"], "holds problem {'name': 'bowl', 'dimensions': 10} (now {'name': 'bowl',"),
  (["--optimizer=other=runs/bowl_lstm/best"], "holds optimizer bowl_lstm "),
]


@pytest.mark.slow
def test_results_of_more_or_other_ones_are_replaced_only_if_told(here, capsys, monkeypatch):
  """Refused before anything runs, and nothing of the attempt is left."""
  learned, more = "--optimizer=runs/bowl_lstm/best", [*SMALL, "--out=o.json"]
  assert _run(*more, "--tuning_runs=2", "--finalist_runs=3", learned) == 0
  before, run = (here / "o.json").read_bytes(), programs.work("evaluate").Comparison.func.run
  monkeypatch.setattr(programs.work("evaluate").Comparison.func, "run", None)

  def refused(*arguments):
    capsys.readouterr()
    assert _run(*more, "--tuning_runs=2", "--finalist_runs=3", *arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "It is not overwritten: name another --out, move" in error
    assert (here / "o.json").read_bytes() == before and not (here / "o.json.work").exists()
    return error

  for change, words in LESS:
    assert words in refused(*change, *([] if "optimizer" in change[0] else [learned]))
  about = {"experiment": presets.PRESETS["quick"]["bowl"].to_dict()}
  retrained = optimizers.CoordinatewiseLSTM((4,), seed=1)
  optimizer_files.save_optimizer("runs/bowl_lstm/best", retrained, about)
  assert "holds optimizer bowl_lstm " in refused(learned)
  monkeypatch.setattr(programs.work("evaluate").Comparison.func, "run", run)
  assert _run(*more, learned, "--overwrite") == 0
  written = results.read("o.json")
  assert written["tuning_runs"] == 1 and "overwrite" not in written["command"]


@pytest.mark.parametrize("words", ["data of all (now of some)", "data_sha256 abc (now def)"])
def test_results_on_other_data_are_not_replaced(capsys, monkeypatch, words):
  """Others by name, or by their digest alone."""
  build, key = problem_options.Bowl.build, words.split()[0]
  data = {"data": "of all", "data_sha256": "abc"}

  def built(self):
    return build(self)[0]._replace(digest=data["data_sha256"]), data["data"]

  monkeypatch.setattr(problem_options.Bowl, "build", built)
  assert _run(*SMALL, "--out=o.json") == 0
  assert results.read("o.json")["data_sha256"] == "abc"
  data[key] = {"data": "of some", "data_sha256": "def"}[key]
  capsys.readouterr()
  assert _run(*SMALL, "--out=o.json") == 1
  assert f"o.json holds {words}. It is not overwritten" in capsys.readouterr().err


@pytest.mark.slow
def test_what_another_process_wrote_meanwhile_is_not_replaced(here, capsys, monkeypatch):
  assert _run(*SMALL, "--num_runs=4", "--out=other.json") == 0
  run = programs.work("evaluate").Comparison.func.run

  def meanwhile(comparison):
    (here / "other.json").rename(here / "o.json")
    return run(comparison)

  monkeypatch.setattr(programs.work("evaluate").Comparison.func, "run", meanwhile)
  assert _run(*SMALL, "--out=o.json") == 1
  assert "num_runs 4 (now 3)" in capsys.readouterr().err
  assert results.read("o.json")["num_runs"] == 4
  assert list((here / "o.json.work").iterdir())  # what was computed is there to go on with


BAD = [
  (2, ("--num_runs=0",), "--num_runs must be an integer of 2..1000000, got 0"),
  (2, ("--num_runs=1",), "--num_runs must be an integer of 2..1000000, got 1"),
  (2, ("--num_steps=0",), "--num_steps must be an integer of 1..1000000, got 0"),
  (2, ("--tuning_runs=0",), "--tuning_runs must be"),
  (2, ("--finalist_runs=-1",), "--finalist_runs must be"),
  (2, ("--finalist_runs=1",), "--finalist_runs must be more than --tuning_runs=1, or 0, got 1"),
  (2, ("--seed=-1",), "--seed must be"),
  (2, ("--num_runs=many",), "many"),
  (2, ("--name=../x",), "--name must consist of letters, digits and _.-, got '../x'"),
  (2, ("--name=x", "--out=y"), "give one of them"),
  (2, ("--hidden=40",), "--hidden does not apply to --problem=bowl"),
  (2, ("--dimensions=0",), "--dimensions must be at least 1, got 0"),
  (2, ("--problem=nothing",), "nothing"),
  (2, ("stray",), "stray"),
  (1, ("--optimizer=runs/none/best",), "There is no directory runs/none/best and no pretrained"),
  (1, ("--optimizer=imagenet_lstm",), "no pretrained optimizer of that name; pretrained:"),
  (1, ("--optimizer=runs",), "Cannot read runs/config.json"),
  (1, ("--optimizer==",), "LABEL=PATH or PATH expected"),
  (1, ("--optimizer=adam=runs/bowl_lstm/best",), "Two optimizers are called 'adam'"),
  (1, ("--peer=peer.npz", "--peer=peer.npz"), "Two optimizers are called 'peer'"),
  (1, ("--peer=none.npz",), "Cannot read none.npz"),
  (1, ("--peer=runs/bowl_lstm/best/config.json",), "is not a NumPy archive"),
]


@pytest.mark.parametrize("status, arguments, message", BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_clear_line(here, capsys, status, arguments, message):
  arguments = [*SMALL, *arguments]
  assert _run(*arguments) == status
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1
  assert not (here / "runs" / "results").exists()


def test_a_damaged_optimizer_is_refused(here, capsys):
  with open(here / "runs/bowl_lstm/best/optimizer.safetensors", "ab") as file:
    file.write(b"x")
  assert _run(*SMALL, "--optimizer=runs/bowl_lstm/best") == 1
  assert "is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_an_optimizer_of_another_problem_needs_transfer(here, capsys):
  arguments = ("--problem=quadratic", *SMALL[1:], "--optimizer=runs/bowl_lstm/best")
  assert _run(*arguments) == 1
  assert (
    "was trained on --problem=bowl, not on quadratic; add --transfer" in capsys.readouterr().err
  )
  assert _run(*arguments, "--transfer") == 0


def test_a_partition_that_does_not_fit_is_one_line(here, capsys):
  two = optimizers.Partition({"fc": optimizers.CoordinatewiseLSTM((4,))})
  optimizer_files.save_optimizer("runs/two/best", two, {})
  assert _run(*SMALL, "--optimizer=runs/two/best") == 1
  error = capsys.readouterr().err.splitlines()[-1]
  assert "No parameter has a label, so none of the groups fc can take theta" in error


@pytest.mark.parametrize("content", ["corrupt", "other setting", "other data"])
def test_a_file_of_something_else_is_not_overwritten(here, capsys, content):
  path = here / "precious.json"
  if content == "corrupt":
    path.write_text('{"my": "notes"}')
  elif content == "other setting":
    path.write_text(json.dumps(tiny_results.make()))
  else:
    assert _run(*SMALL, "--out=precious.json") == 0
    found = results.read(str(path)) | {"data": "another sample"}
    path.write_text(json.dumps(found))
    capsys.readouterr()
  before = path.read_bytes()
  assert _run(*SMALL, "--out=precious.json") == 1
  error = capsys.readouterr().err
  assert "It is not overwritten" in error and error.count("\n") == 1
  assert path.read_bytes() == before


def test_an_output_that_cannot_be_written_is_refused_at_once(here, capsys):
  assert _run(*SMALL, "--out=peer.npz/results.json") == 1
  assert capsys.readouterr().err.count("\n") == 1
