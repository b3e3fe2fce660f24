"""Tests of bin/evaluate.py, in-process on the bowl."""

import functools
import json

import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf.config import presets
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
  rivals = functools.partial(evaluate.Comparison, rivals=("sgd",))
  monkeypatch.setattr(evaluate, "Comparison", rivals)
  monkeypatch.chdir(tmp_path)
  experiment = presets.PRESETS["quick"]["bowl"].to_dict()
  lstm = optimizers.CoordinatewiseLSTM((4,))
  optimizer_files.save_optimizer("runs/bowl_lstm/best", lstm, {"experiment": experiment})
  weights = {name: np.zeros(shape, np.float32) for name, shape in peers.SHAPES.items()}
  np.savez("peer.npz", **weights)
  return tmp_path


def _run(*arguments) -> int:
  return programs.run(evaluate.main, evaluate.ERRORS, *arguments)


def test_compares_learned_optimizers_and_peers_with_tuned_rivals(here, capsys):
  directory = str(here / "runs" / "bowl_lstm" / "best")
  assert _run(*SMALL, f"--optimizer={directory},twin=runs/bowl_lstm/best", "--peer=peer.npz") == 0
  written = results.read("results/bowl_4.json")
  entries = written["optimizers"]
  kinds = {name: entry["kind"] for name, entry in entries.items()}
  learned = {"bowl_lstm": "learned", "twin": "learned", "peer": "peer"}
  assert kinds == learned | {"sgd": "rival"}
  assert entries["bowl_lstm"]["mean"] == entries["twin"]["mean"]
  assert len(set(entries["peer"]["mean"])) == 1  # all its weights are 0: it stands still
  assert results.ratio_of(written, "bowl_lstm", "twin") == (1, 1, 1)
  assert str(here) not in (here / "results" / "bowl_4.json").read_text()
  assert "--optimizer=runs/bowl_lstm/best" in written["command"]
  assert [path.name for path in (here / "results").iterdir()] == ["bowl_4.json"]
  table = capsys.readouterr().out
  for name, entry in entries.items():
    assert name in table and f"{entry['final_loss']['mean']:.4g}" in table


def test_longer_runs_are_compared_early_too(capsys):
  made = tiny_results.make(num_steps=120)
  evaluate._print_table(made, dict.fromkeys(made["optimizers"], 1.0))
  text = "adam reaches the loss that mnist_lstm has at step 100 first, at step 10"
  assert text in capsys.readouterr().out
  behind = tiny_results.make(num_steps=120, mnist_lstm=tiny_results.curves(1.0, 6, 120))
  evaluate._print_table(behind, dict.fromkeys(behind["optimizers"], 1.0))
  printed = capsys.readouterr().out
  assert "no rival reaches the loss that mnist_lstm has at step 100" in printed
  assert "mnist_lstm is ahead of all rivals from step 1 on; in means of 10 points from" in printed
  curves = np.where(np.arange(121) > 50, np.inf, tiny_results.curves(0.1, 6, 120))
  diverged = tiny_results.make(num_steps=120, mnist_lstm=curves)
  evaluate._print_table(diverged, dict.fromkeys(diverged["optimizers"], 1.0))
  printed = capsys.readouterr().out
  assert "mnist_lstm has no finite loss at step 100." in printed
  assert "mnist_lstm is not ahead of all rivals at the end" in printed


def test_resumes_after_an_interruption(here, monkeypatch, capsys):
  arguments = (*SMALL, "--optimizer=runs/bowl_lstm/best")
  assert _run(*arguments, "--name=undisturbed") == 0
  comparison, left = evaluate.Comparison, [2]

  def interrupted(*args, progress, **options):
    def count(name, runs):
      left[0] -= 1
      if left[0] == 0:
        raise KeyboardInterrupt
      progress(name, runs)

    return comparison(*args, progress=count, **options)

  monkeypatch.setattr(evaluate, "Comparison", interrupted)
  assert _run(*arguments, "--name=interrupted") == 130
  assert "the same command goes on" in capsys.readouterr().out
  assert not (here / "results" / "interrupted.json").exists()
  assert len(list((here / "results" / "interrupted.json.work").iterdir())) == 2
  assert _run(*arguments, "--name=interrupted") == 0
  first, second = (results.read(f"results/{n}.json") for n in ("undisturbed", "interrupted"))
  assert first | {"command": ""} == second | {"command": ""}
  assert not (here / "results" / "interrupted.json.work").exists()


def test_a_named_work_directory_stays(here):
  assert _run(*SMALL, "--work_dir=cache", "--name=rivals") == 0
  before = len(list((here / "cache").iterdir()))
  assert before == 2
  assert _run(*SMALL, "--work_dir=cache", "--optimizer=runs/bowl_lstm/best") == 0
  assert len(list((here / "cache").iterdir())) == before + 1


def test_older_results_of_the_same_setting_are_replaced(here):
  assert _run(*SMALL, "--out=o.json") == 0
  assert _run(*SMALL[:2], "--num_runs=4", "--tuning_runs=1", "--out=o.json") == 0
  assert results.read("o.json")["num_runs"] == 4


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
  assert not (here / "results").exists()


def test_a_damaged_optimizer_is_refused(here, capsys):
  with open(here / "runs/bowl_lstm/best/optimizer.safetensors", "ab") as file:
    file.write(b"x")
  assert _run(*SMALL, "--optimizer=runs/bowl_lstm/best") == 1
  assert "is damaged" in capsys.readouterr().err


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
