"""Tests of results files and their schema, and of all committed results."""

import copy
import json
import re

import numpy as np
import pytest

from l2l_tf.evaluation import results
from l2l_tf.evaluation import statistics
from tests import programs
from tests import tiny_results

COMMITTED = sorted((programs.ROOT / "results").glob("*.json"))
OTHERS = ("zoo_", "quick_seeds", "general_ablation", "general_rules")  # tests/zoo, tests/benchmarks
COMMITTED = [path for path in COMMITTED if not path.name.startswith(OTHERS)]
LEAST_RUNS = {"cifar10_train": 10, "cifar10_test": 10, "neural_art_128": 8}  # half a minute a run
GENERAL = "general_mnist_"  # a look at another optimizer, with the intervals of 20 runs


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_results_follow_the_schema(path):
  read = results.read(str(path))
  least = 20 if path.name.startswith(GENERAL) else LEAST_RUNS.get(path.stem, 100)
  assert read["num_runs"] >= least
  assert read["versions"]["commit"]
  sources = [entry["source"] for entry in read["optimizers"].values() if "source" in entry]
  for text in (read["command"], read["data"], *sources):
    assert not re.search(r"(^|[\s=,:])[/~]", text)  # relative paths only


def test_what_is_written_is_read_again(tmp_path):
  made = tiny_results.make()
  results.write(str(tmp_path / "r.json"), made)
  assert results.read(str(tmp_path / "r.json")) == made


def test_summary_of_known_curves():
  losses = np.arange(12.0).reshape(3, 4) ** 2  # final loss: the mean of all four points
  summary = statistics.summary(losses)
  np.testing.assert_allclose(summary["mean"], losses.mean(axis=0), rtol=1e-6)
  error = losses.std(axis=0, ddof=1) / np.sqrt(3)
  np.testing.assert_allclose(summary["standard_error"], error, rtol=1e-6)
  assert summary["mean_loss"]["mean"] == results.number(losses[:, 1:].mean())
  assert summary["final_losses"] == [3.5, 31.5, 91.5]
  assert summary["final_loss_quantiles"] == {
    "5": 3.5,
    "25": 3.5,
    "50": 31.5,
    "75": 91.5,
    "95": 91.5,
  }
  assert summary["diverged"] == 0


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_diverged_run_is_infinite_and_written_as_null(tmp_path, value):
  losses = tiny_results.curves(0.1)
  losses[0, 15:] = value
  made = tiny_results.make(mnist_lstm=losses)
  entry = made["optimizers"]["mnist_lstm"]
  assert entry["mean"][14] is not None and entry["mean"][15:] == [None] * 6
  assert entry["final_loss"] == {"mean": None, "half": None}
  assert entry["diverged"] == 1 and entry["final_losses"][0] is None
  assert entry["final_loss_quantiles"]["50"] is not None
  assert entry["final_loss_quantiles"]["95"] is None
  assert all(pair["ratio"] is None and pair["wins"] <= 5 / 6 for pair in made["ratios"])
  results.write(str(tmp_path / "r.json"), made)

  def refuse(token):
    raise AssertionError(f"{token} is no JSON")

  json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse)


def test_ratios_pair_each_learned_optimizer_with_everybody_else():
  made = tiny_results.make(learned=("a", "b"))
  pairs = [(pair["numerator"], pair["denominator"]) for pair in made["ratios"]]
  assert len(pairs) == len(set(pairs)) == 2 * 7
  assert made["best_rival"] == "adam"
  forth, back = (results.ratio_of(made, *names) for names in (("a", "b"), ("b", "a")))
  np.testing.assert_allclose(forth.ratio * back.ratio, 1, rtol=1e-5)
  assert results.ratio_of(made, "adam", "a") is None


def test_the_steps_that_rivals_need_to_be_there():
  t = np.tile(np.arange(61.0), (6, 1))
  names = dict.fromkeys(tiny_results.optimizers.HAND_DESIGNED, 3 - 0 * t)
  falling = {"mnist_lstm": 3 - 0.02 * t, "adam": 3 - 0.01 * t, "sgd": 3 - 0.005 * t}
  diverged = {"rmsprop": np.where(t > 30, np.inf, 3 - 0.001 * t)}
  made = tiny_results.make(num_steps=60, **names | falling | diverged)
  # Of ten points, 11, ..., 20, the mean step is 15.5; twice that ends at 35.5, so at 36.
  assert results.steps_of_rivals(made, "mnist_lstm", 20) == {"adam": 36}
  assert results.steps_of_rivals(made, "mnist_lstm", 60) == {}
  for name, step in (("rmsprop", 50), ("mnist_lstm", 8), ("mnist_lstm", 61)):
    with pytest.raises(ValueError, match=f"{name} has no finite loss at step {step}"):
      results.steps_of_rivals(made, name, step)


def test_where_a_learned_optimizer_takes_the_lead():
  rows = lambda *means: np.tile(np.array(means, float), (6, 1))  # noqa: E731
  level = rows(*[5.0] * 13)
  names = dict.fromkeys(tiny_results.optimizers.HAND_DESIGNED, level)
  names["rprop"] = np.where(np.arange(13) > 3, np.inf, 1.0 + 0 * level)

  def lead(*last, window=1):
    curves = rows(5, 4, 4, 4, *[4] * (9 - len(last)), *last)
    made = tiny_results.make(num_steps=12, mnist_lstm=curves, **names)
    return results.leads_from(made, "mnist_lstm", window)

  assert lead() == 4  # Rprop, at 1, was ahead until it diverged
  assert lead(5, 4) == 12
  assert lead(5) is None and lead(np.nan) is None
  assert lead(5, 4, window=2) == 4 and lead(5, 5, window=2) is None
  assert lead(window=14) is None


FINALISTS = {"runs": 5, "learning_rates": [0.1, 0.2, 0.4], "final_losses": [2.0, 1.0, None]}


def test_finalists_may_be_there(tmp_path):
  made = tiny_results.make()
  made["optimizers"]["adam"]["finalists"] = FINALISTS
  results.write(str(tmp_path / "r.json"), made)
  assert results.read(str(tmp_path / "r.json"))["optimizers"]["adam"]["finalists"] == FINALISTS


def _changes():
  change = tiny_results.change
  lstm, adam = ("optimizers", "mnist_lstm"), ("optimizers", "adam")
  return [
    change("schema", to=2),
    change("more", to=1),
    change("command", to=KeyError),
    change("num_steps", to=True),
    change("num_steps", to=19),
    change("num_runs", to=-1),
    change("learning_rates", to=[1.0]),
    change("optimizers", to=[]),
    change(*lstm, to=None),
    change(*lstm, "kind", to="rival"),
    change(*lstm, "kind", to=[]),
    change(*lstm, "mean", 3, to="1"),
    change(*lstm, "mean", 3, to=float("inf")),
    change(*lstm, "mean", 3, to=10**400),
    change(*lstm, "final_loss", to={"mean": 1.0}),
    change(*lstm, "final_losses", to=[1.0]),
    change(*adam, "tuning_final_losses", to=[1.0]),
    change(*adam, "learning_rate", to="none"),
    change(*adam, "finalists", to=None),
    change(*adam, "finalists", to={"runs": 5, "learning_rates": [0.1]}),
    change(*adam, "finalists", to=FINALISTS | {"final_losses": [2.0]}),
    change(*lstm, "finalists", to=FINALISTS),
    change("best_rival", to="mnist_lstm"),
    change("best_rival", to={}),
    change("ratios", 0, "denominator", to="nobody"),
    change("ratios", 0, "ratio", to=KeyError),
  ]


@pytest.mark.parametrize("change", _changes())
def test_refuses_other_values(tmp_path, change):
  broken = copy.deepcopy(tiny_results.make())
  change(broken)
  (tmp_path / "r.json").write_text(json.dumps(broken))
  with pytest.raises(
    results.ResultsError, match="r.json is not a results file of schema 1: .* must"
  ):
    results.read(str(tmp_path / "r.json"))
  with pytest.raises(ValueError):
    results.write(str(tmp_path / "new.json"), broken)
  assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, '{"schema": NaN}'])
def test_refuses_other_files(tmp_path, text):
  (tmp_path / "r.json").write_text(text)
  with pytest.raises(results.ResultsError, match="r.json"):
    results.read(str(tmp_path / "r.json"))


def test_refuses_a_missing_file(tmp_path):
  with pytest.raises(results.ResultsError, match="Cannot read .*none.json: No such file"):
    results.read(str(tmp_path / "none.json"))
