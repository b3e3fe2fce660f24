"""Which runs there are, that a resumed measurement equals an undisturbed one, and results files."""

import json
import os

import numpy as np
import pytest

from l2l_tf.storage import files
from l2l_tf.zoo import comparison
from l2l_tf.zoo import measure
from l2l_tf.zoo import protocol
from l2l_tf.zoo import report
from l2l_tf.zoo import rivals
from l2l_tf.zoo import scores
from l2l_tf.zoo import summary
from l2l_tf.zoo import tasks
from tests import sources

TASK = tasks.TASKS["cars_tanh"]
SHORT = tasks.TASKS["digits_poisson"]
FALLING = tasks.TASKS["words_wide_deep"]  # its loss falls steadily from the first step on


def pairs(runs) -> list[tuple[int, int]]:
  return [(run.num_steps, run.seed) for run in runs]


def test_a_run_gives_the_results_of_all_shorter_horizons_unless_the_rival_knows_it():
  plan = measure.plan(TASK, "Adam", False)
  assert pairs(plan) == [(100, 3), (100, 4), (1000, 2), (10000, 0), (10000, 1)]
  plan = measure.plan(SHORT, "Adam", False)
  assert pairs(plan) == [(100, 3), (100, 4), (1000, 0), (1000, 1), (1000, 2)]
  plan = measure.plan(TASK, "Celo", True, seeds=2)
  assert pairs(plan) == [(h, s) for h in (100, 1000, 10000) for s in (0, 1)]
  plan = measure.plan(SHORT, "Adam", False, far=True)
  assert pairs(plan) == [(1000, 3), (1000, 4), (4000, 0), (4000, 1), (4000, 2)]
  assert pairs(measure.plan(SHORT, "Adam", False, [100], seeds=1)) == [(100, 0)]


def test_published_problems_are_run_for_ten_thousand_steps():
  task = tasks.TASKS["ImageMLP_Cifar10_8_Relu32"]
  assert pairs(measure.plan(task, "Adam", False)) == [(10000, 0)]
  assert measure.plan(task, "Adam", False, [100]) == []


def test_the_full_plan_is_what_the_page_tells_of():
  runs = measure.full_plan()
  assert len(runs) == len(set(runs))
  by_rival = {run.rival for run in runs}
  assert by_rival == {*rivals.standard(), *rivals.TUNED}
  published = {t.name for t in tasks.of_families(["published"])}
  theirs = [run for run in runs if run.task in published]
  assert {run.rival for run in theirs} == set(protocol.PUBLISHED_RIVALS)
  assert {run.num_steps for run in theirs} == {10000}
  assert {run.task for run in theirs} == published - set(protocol.PUBLISHED_CUT)


@pytest.fixture
def short(monkeypatch):
  """Horizons of 20 and 40 steps, so that many runs take seconds."""
  monkeypatch.setattr(protocol, "HORIZONS", (20, 40))
  monkeypatch.setattr(protocol, "SEEDS", {20: 3, 40: 2})
  monkeypatch.setattr(protocol, "REACH", {20: 4, 40: 2})


def plan_of(rival: str, far=False, task=TASK) -> list[measure.Run]:
  return measure.plan(task, rival, rivals.find(rival).knows_horizon, far=far)


def contents(directory) -> dict[str, dict]:
  """Every run without what differs from hour to hour."""
  found = {}
  for folder, _, names in os.walk(directory):
    for name in names:
      with open(os.path.join(folder, name), encoding="utf-8") as file:
        document = json.load(file)
      found[os.path.relpath(os.path.join(folder, name), directory)] = {
        k: v for k, v in document.items() if k != "ms_per_step"
      }
  return found


@pytest.mark.slow
def test_a_resumed_measurement_equals_an_undisturbed_one(short, tmp_path, monkeypatch):
  whole, broken = str(tmp_path / "whole"), str(tmp_path / "broken")
  runs = [run for rival in ("Adam", "NAdamWCosine") for run in plan_of(rival)]
  for job in measure.jobs(runs, whole):
    assert measure.do(job) is None
  made = []
  write = measure.write

  def interrupted(path, document):
    if len(made) == 2:
      raise KeyboardInterrupt
    made.append(path)
    write(path, document)

  monkeypatch.setattr(measure, "write", interrupted)
  with pytest.raises(KeyboardInterrupt):
    for job in measure.jobs(runs, broken):
      measure.do(job)
  monkeypatch.setattr(measure, "write", write)
  absent = measure.missing(runs, broken)
  assert len(absent) == len(runs) - 2
  for job in measure.jobs(absent, broken):
    assert measure.do(job) is None
  assert measure.missing(runs, broken) == []
  assert contents(whole) == contents(broken) and len(contents(whole)) == len(runs)


def test_a_damaged_or_foreign_file_is_measured_anew(short, tmp_path):
  run = plan_of("Adam")[0]
  path = measure.path_of(str(tmp_path), run)
  expected = measure.identity(run, TASK, "")
  measure.write(path, expected)
  assert measure.missing([run], str(tmp_path)) == []
  measure.write(path, expected | {"definition": "another"})
  assert measure.missing([run], str(tmp_path)) == [run]
  with open(path, "w", encoding="utf-8") as file:
    file.write("{")
  assert measure.missing([run], str(tmp_path)) == [run]


def test_what_cannot_be_run_leaves_its_reason(tmp_path):
  run = measure.Run("characters_gru", "quadratic_ntm_bfgs", 100, 0)
  reason = measure.do(measure.Job((run,), str(tmp_path)))
  assert reason.startswith("characters_gru, quadratic_ntm_bfgs: ValueError: quadratic_ntm_bfgs is")
  rival, task = rivals.find(run.rival), tasks.TASKS[run.task]
  document = summary.summarize(rival, [task], str(tmp_path), "")
  assert document["rows"] == [] and "grows with their square" in document["failures"][run.task]


@pytest.mark.slow
def test_runs_become_results_and_results_a_page(short, tmp_path, monkeypatch):
  """Adam beside itself at ten times the rate, and both as the rates of tuned Adam."""
  monkeypatch.setattr(rivals, "TUNED", ("Adam@0.001", "Adam@0.01"))
  monkeypatch.setattr(report, "FIRST_HORIZON", 40)
  names = ("Adam", "Adam@0.001", "Adam@0.01", "NAdamWCosine")
  for job in measure.jobs(
    [r for n in names for r in plan_of(n, n != "NAdamWCosine", FALLING)], str(tmp_path)
  ):
    assert measure.do(job) is None
  results = {
    name: summary.summarize(rivals.find(name), [FALLING], str(tmp_path), "x", far=name == "Adam")
    for name in ("Adam", "Adam@0.01", "NAdamWCosine")
  }
  results[summary.TUNED] = summary.summarize_tuned([FALLING], str(tmp_path), "x")
  for name, document in results.items():
    summary.write(str(tmp_path / summary.file_name(name)), document)
  assert summary.read_all(str(tmp_path)) == results
  by_horizon = {row["horizon"]: row for row in results["Adam"]["rows"]}
  assert by_horizon[20]["seeds"] == [0, 1, 2] and by_horizon[40]["seeds"] == [0, 1]
  assert by_horizon[20]["curve"]["steps"][-1] == by_horizon[40]["curve"]["steps"][-1] == 80

  own, fast = (
    comparison.of_split(comparison.comparisons(results[n], results["Adam"]), "held-out", 40)[0]
    for n in ("Adam", "Adam@0.01")
  )
  np.testing.assert_array_equal(own.log_ratios, [0, 0])
  np.testing.assert_allclose(own.speed_ups, 1, atol=0.05)
  assert fast.log_ratios.max() < 0 and fast.speed_ups.min() > 1.5
  tuned = {row["horizon"]: row for row in results[summary.TUNED]["rows"]}
  assert tuned[40]["rate"] == "0.01" and tuned[40]["final"] == fast.row["final"]
  assert set(tuned[40]["tried"]) == {"Adam@0.001", "Adam@0.01"}

  page = report.document(results)
  assert "## Held-out families, 40 steps" in page and "Families to train on," not in page
  line = next(line for line in page.splitlines() if line.startswith("| Adam@0.01"))
  assert line.split(" | ")[4:7] == ["1", "1", "0"]  # tasks, won, lost
  assert "Not measured yet" in page.split("## general against")[1].split("\n## ")[0]
  assert "Not measured yet: ImageMLP" in page.split("## Published problems")[1]
  general = report.document({**results, report.GENERAL: results["Adam@0.01"]})
  section = general.split("## general against each of the others\n")[1].split("\n## ")[0]
  cells = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("| ")]
  against = {name: row for name, *row in cells}
  assert against["tuned Adam"][1] == against["Adam"][1] == "0 of 1"
  assert float(against["Adam"][0].split()[0]) < 1 and "general" not in against
  figure = report.draw_profiles(results, ["Adam@0.01"])
  assert [axes.get_title() for axes in figure.axes] == ["20 steps", "40 steps"]
  with pytest.raises(ValueError, match="no results of the default Adam"):
    report.document({})


RESULTS = summary.read_all(str(sources.ROOT / "results"))


@pytest.mark.slow
@pytest.mark.skipif(not RESULTS, reason="no results are committed yet")
def test_the_page_is_that_of_the_committed_results():
  page = sources.ROOT / "docs" / "zoo.md"
  assert page.read_text(encoding="utf-8") == report.document(RESULTS)
  for document in RESULTS.values():
    for row in document["rows"]:
      assert row["definition"] == tasks.TASKS[row["task"]].definition(), row["task"]


@pytest.mark.skipif(not RESULTS, reason="no results are committed yet")
@pytest.mark.parametrize("horizon", protocol.HORIZONS)
def test_default_adam_is_as_fast_as_itself(horizon):
  """Over all tasks; of one where it gets nowhere, noise decides when it has got there."""
  adam = RESULTS[comparison.DEFAULT]
  own = [c for c in comparison.comparisons(adam, adam) if c.row["horizon"] == horizon]
  assert comparison.score(own).speed_up.value == pytest.approx(1, abs=0.05)


def test_rows_of_other_data_are_not_compared():
  row = {"task": "t", "horizon": 100, "definition": "d", "data": "x", "seeds": [0], "final": [1.0]}
  row |= {"metric": "accuracy", "held_out": [0.5]}
  row["curve"] = {"steps": [1, 100], "loss": [2.0, 1.0]}
  assert comparison.compare(row, row).log_ratios == 0
  better = row | {"held_out": [0.6]}
  assert comparison.compare(better, row).generalizes
  assert not comparison.compare(row, better).generalizes
  error = {"metric": "mae"}
  assert comparison.compare(row | error, better | error).generalizes
  assert comparison.compare(row | error, row | error | {"held_out": [None]}).generalizes
  assert comparison.compare(row, row | {"data": "y"}) is None
  assert comparison.compare(row, row | {"seeds": [1]}) is None


def test_results_of_another_version_are_refused(tmp_path):
  path = str(tmp_path / "zoo_x.json")
  files.write_json(path, {"benchmark": 0, "rows": []})
  with pytest.raises(files.CheckpointError, match="no results of version 1"):
    summary.read(path)


def test_a_published_problem_is_scored_as_there():
  bars = comparison._published()["ImageMLP_Cifar10_8_Relu32"]
  steps, losses = np.array(bars["steps"]), np.array(bars["best_loss"])
  row = {"task": "ImageMLP_Cifar10_8_Relu32", "horizon": 10000}
  at_10000 = float(np.interp(10000, steps, losses))
  score = comparison.published_score(row | {"fresh_loss": [at_10000]})
  assert score == pytest.approx(1, abs=0.02)
  assert comparison.published_score(row | {"fresh_loss": [0.0]}) == 10
  assert comparison.published_score(row | {"fresh_loss": [None]}) == 0
  assert set(comparison._published()) == {t.name for t in tasks.of_families(["published"])}


def test_scores_count_what_was_won_lost_and_diverged():
  found = [
    comparison.Comparison(
      {"task": "a", "diverged": [False, False]}, np.full(2, -0.5), np.ones(2), True
    ),
    comparison.Comparison(
      {"task": "b", "diverged": [True, False]}, np.full(2, 0.7), np.ones(2), False
    ),
  ]
  score = comparison.score(found)
  assert (score.won, score.lost, score.num_tasks, score.generalizes) == (1, 1, 2, 1)
  assert score.worst == ("b", pytest.approx(0.7)) and score.diverged == 0.25
  assert score.log_ratio.value == pytest.approx(0.1) and isinstance(score.speed_up, scores.Estimate)
