"""Tests of the advice: cases made to fail for one cause, which the advice must name."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import pretrained
from l2l_tf import problems
from l2l_tf.inspection import advice
from l2l_tf.inspection import diagnosis
from l2l_tf.problems.base import make_seeds
from l2l_tf.storage import optimizer_files
from tests import programs

diagnose = programs.load("diagnose")
SEEDS = make_seeds(2, count=2)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 10)).astype(np.float32)
Y = np.argmax(X @ RNG.normal(size=(10, 3)), axis=1)


def classifier(scale: float = 1.0, offset: float = 0.0) -> problems.Problem:
  """A small MLP with sigmoid units, on which `mnist_lstm` works; its loss times `scale`."""

  def init(seed):
    seeds = tf.random.split(seed, 2)
    shapes = {"w": [10, 12], "output": [12, 3]}
    normal = tf.random.stateless_normal
    return {n: 0.1 * normal(s, seed) for (n, s), seed in zip(shapes.items(), tf.unstack(seeds))}

  def loss(params, task, seed):
    del task, seed
    logits = tf.sigmoid(X @ params["w"]) @ params["output"]
    return scale * problems.classification.cross_entropy(logits, Y) + offset

  return problems.from_function(init, loss)


def shipped(**changes) -> optimizers.Optimizer:
  """`mnist_lstm`, changed by functions of its variables."""
  optimizer, _ = optimizer_files.load_optimizer(pretrained.find("mnist_lstm"))
  for name, change in changes.items():
    for variable in optimizer.trainable_variables:
      if name in variable.name:
        variable.assign(change(variable))
  return optimizer


PLAIN = classifier()
CASES = {  # cause: (problem, optimizer, a word of the advice)
  "fine": (PLAIN, shipped, "best rival"),
  "tiny gradients": (classifier(1e-7), shipped, "Multiply the loss by about"),
  "huge gradients": (classifier(1e6), shipped, "Multiply the loss by about"),
  "saturated units": (
    PLAIN,
    lambda: shipped(b_gates=lambda b: tf.fill(b.shape, 60.0)),
    "hardly depend on the gradients",
  ),
  "uphill": (PLAIN, lambda: shipped(linear=tf.negative), "trained at all"),
  "small steps": (
    PLAIN,
    lambda: shipped(linear=lambda v: 1e-3 * v),
    "times smaller than those of",
  ),
  "large steps": (PLAIN, lambda: shipped(linear=lambda v: 300 * v), "times larger than"),
  "problem": (
    problems.from_function(
      lambda seed: {"x": tf.random.stateless_normal([4], seed)},
      lambda params, task, seed: -tf.reduce_sum(tf.cos(0 * params["x"])) + 7.0,
    ),
    *(shipped, "look for the error in the problem itself"),
  ),
}


@pytest.fixture(scope="module")
def found():
  """The diagnosis of each case; on one problem only the record of the optimizer differs."""
  diagnoses, changed = {}, shipped()
  run = diagnosis.recorder(PLAIN, changed)
  for cause, (problem, make, _) in CASES.items():
    if problem is PLAIN and diagnoses:
      for variable, value in zip(changed.variables, make().variables, strict=True):
        variable.assign(value)
      diagnoses[cause] = diagnoses["fine"]._replace(record=run(SEEDS, 30))
    else:
      diagnoses[cause] = diagnosis.diagnose(problem, make(), SEEDS, 30)
  return diagnoses


@pytest.mark.slow
@pytest.mark.parametrize("cause", CASES)
def test_the_cause_is_named(found, cause):
  findings = {finding.cause: finding.text for finding in advice.advise(found[cause])}
  assert cause in findings, findings
  assert CASES[cause][2] in findings[cause]
  assert ("fine" in findings) == (cause == "fine")


@pytest.mark.slow
def test_the_scale_that_is_proposed_mends_it(found):
  mended = {}
  for cause, scale in (("tiny gradients", 1e-7), ("huge gradients", 1e6)):
    text = dict(advice.advise(found[cause]))[cause]
    factor = float(text.split("Multiply the loss by about ")[1].split()[0])
    scale = float(f"{scale * factor:.6g}")  # the same for both, as it happens
    mended[scale] = mended.get(scale) or diagnosis.diagnose(classifier(scale), shipped(), SEEDS, 30)
    assert advice.advise(mended[scale])[0].cause == "fine", advice.table(mended[scale])


@pytest.mark.slow
def test_a_loss_below_zero_changes_nothing(found):
  fine, problem = found["fine"], classifier(offset=-5.0)
  rival = optimizers.HAND_DESIGNED[fine.rival_name](fine.rival_rate)
  record, rival = (diagnosis.record(problem, each, SEEDS, 30) for each in (shipped(), rival))
  assert record.losses.max() < 0
  shifted = advice.progress(fine._replace(record=record, rival=rival))
  assert shifted == pytest.approx(advice.progress(fine), rel=1e-3)


@pytest.mark.slow
def test_losses_that_are_not_finite(found):
  broken = found["large steps"].record
  losses = np.where(np.arange(31)[:, np.newaxis] < 9, broken.losses, np.nan)
  findings = advice.advise(found["large steps"]._replace(record=broken._replace(losses=losses)))
  assert findings[0].cause == "not finite" and "from step 9 on" in findings[0].text


@pytest.mark.slow
def test_the_horizon_and_dead_parameters(found):
  case = found["small steps"]
  record = case.record._replace(gradients=case.record.gradients | {"w": np.zeros(30)})
  findings = dict(advice.advise(case._replace(record=record, horizon=10)))
  assert "trained to make 10 steps and makes 30" in findings["horizon"]
  assert "No gradient ever reaches w:" in findings["no gradient"]
  assert "horizon" not in dict(advice.advise(case._replace(horizon=20)))


@pytest.mark.slow
def test_nothing_found(found):
  case = found["fine"]
  stuck = case.record._replace(losses=np.repeat(case.record.losses[:1], 31, axis=0))
  causes = [f.cause for f in advice.advise(case._replace(record=stuck, general=None))]
  assert causes == ["unknown"]


@pytest.mark.slow
def test_the_optimizer_for_any_model_is_recommended_where_it_gets_further(found):
  case = found["small steps"]
  text = dict(advice.advise(case))["general"]
  assert "LearnedOptimizer() without a name" in text
  assert f"gets to {case.general[-10:].mean():.4g} here" in text
  assert case.general.shape == case.record.losses.shape
  np.testing.assert_allclose(case.general[0], case.record.losses[0], rtol=1e-6)
  worse = case._replace(general=case.record.losses + 1)
  assert "general" not in dict(advice.advise(worse)) | dict(advice.advise(found["fine"]))
  (kind, _) = optimizer_files.load_optimizer(pretrained.directory("general"))
  assert diagnosis.diagnose(CASES["problem"][0], kind, SEEDS, 3).general is None


@pytest.mark.slow
def test_a_problem_of_another_type_is_diagnosed_without_it():
  problem = problems.from_function(
    lambda seed: {"x": tf.random.stateless_normal([4], seed, dtype=tf.float64)},
    lambda params, task, seed: tf.reduce_sum(params["x"] ** 2),
  )
  optimizer = optimizers.CoordinatewiseLSTM((3,), dtype="float64")
  assert diagnosis.diagnose(problem, optimizer, SEEDS, 3).general is None


@pytest.mark.slow
def test_the_table_shows_the_numbers(found):
  text = advice.table(found["fine"])
  for word in ("learned", "general", "sgd", "adam", "  w ", "output", "Saturated units", "4.5e-05"):
    assert word in text
  assert f"{found['fine'].grid['adam'][2]:.4g} (0.01)" in text


def run(*arguments):
  out, err = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    status = programs.run(diagnose.main, *arguments)
  return status, out.getvalue(), err.getvalue()


@pytest.mark.slow
def test_the_program():
  arguments = ["--problem=bowl", "--dimensions=3", "--num_steps=5", "--num_runs=2"]
  status, out, _ = run("--optimizer=mnist_lstm", *arguments)
  assert status == 0 and "Data: generated" in out and "theta" in out
  assert out.strip().endswith(".")  # the advice


@pytest.mark.slow
def test_the_program_names_flags_of_a_training(monkeypatch):
  text = "Lower `update_scale`, or `output_scale` when you train (`num_steps`)."
  monkeypatch.setattr(advice, "advise", lambda _: [advice.Finding("cause", text)])
  _, out, _ = run("--optimizer=mnist_lstm", "--problem=bowl", "--num_steps=2", "--num_runs=2")
  shown = "Lower `update_scale`, or --output_scale when you train (--num_steps)."
  assert out.endswith(f"\nCause. {shown}\n")


@pytest.mark.parametrize(
  "arguments, status, message",
  [
    ((), 2, "Name the optimizer"),
    (("--optimizer=absent_lstm",), 2, "no pretrained optimizer of that name"),
    (("--optimizer=mnist_lstm", "--num_runs=0"), 2, "--num_runs must be an integer of 1..1000"),
    (("--optimizer=mnist_lstm", "--problem=a_b_c:d"), 1, "There is no module 'a_b_c'"),
  ],
)
def test_bad_arguments_are_one_line(arguments, status, message):
  received, _, err = run(*arguments)
  assert received == status and message in err and err.count("\n") == 1
