"""Tests of imitation: the teacher's formula, what is fitted, going on after a stop, the program."""

import contextlib
import io
import os
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import l2l_tf
from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.evaluation import candidates
from l2l_tf.problems.base import make_seeds
from l2l_tf.storage import files
from l2l_tf.storage.cache import Parts
from l2l_tf.training import imitation
from tests import programs

imitate = programs.load("imitate")
CONFIG = imitation.Imitation(
  num_steps=20,
  unroll_length=10,
  teacher_rate=0.1,
  warmup_steps=4,
  rounds=2,
  fit_steps=40,
  batch_size=64,
  learning_rate=1e-2,
)
BOWL = ["--problem=bowl", "--dimensions=3", "--layer_sizes=3", "--num_steps=4"]
TINY = [*BOWL, "--unroll_length=2", "--rounds=2", "--trajectories=1", "--fit_steps=2"]


def student(seed=0, sizes=(8,)):
  return optimizers.CoordinatewiseLSTM(sizes, seed=seed)


def imitator(tmp_path, optimizer, config=CONFIG, problem=problems.bowl(10)):
  return imitation.Imitator(problem, optimizer, config, Parts(str(tmp_path / "parts")), {})


def phi(optimizer):
  return [v.numpy() for v in optimizer.trainable_variables]


def test_the_teacher_against_numpy():
  teacher, rng = imitation.Teacher(0.3, warmup_steps=3, num_steps=5), np.random.default_rng(0)
  m = v = np.zeros(4)
  state = teacher.initial_state({"x": tf.zeros([1, 4], tf.float64)})
  schedule = [1 / 3, 2 / 3 * 4 / 5, 3 / 5, 2 / 5, 1 / 5, 0, 0]
  for t, s in enumerate(schedule, start=1):
    g = rng.normal(size=4)
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
    expected = -0.3 * s * (0.9 * m + 0.1 * g) / (1 - 0.9 ** (t + 1))
    expected /= np.sqrt(v / (1 - 0.99**t)) + 1e-8
    updates, state = teacher({"x": tf.constant(g[np.newaxis])}, state)
    np.testing.assert_allclose(updates["x"][0], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
def test_the_student_learns_what_the_teacher_does(tmp_path):
  """On instances neither has met its losses come near the teacher's, and the error falls."""
  config = imitation.Imitation.from_dict(CONFIG.to_dict() | {"rounds": 4})
  optimizer = student()
  fitted = imitator(tmp_path, optimizer, config)
  seeds = tf.constant(make_seeds(7, count=20))
  problem = problems.bowl(10)

  def final(who):
    return unroll.rollout(problem, who, seeds, 20)[-1].numpy().mean()

  first, errors = final(optimizer), [fitted.round(i).error for i in range(4)]
  start = unroll.rollout(problem, optimizer, seeds, 0)[0].numpy().mean()
  teacher = final(imitation.Teacher(0.1, 4, 20))
  assert errors[-1] < 0.3 and teacher < 0.8 * start
  assert abs(final(optimizer) - teacher) < 0.2 * (start - teacher) < abs(first - teacher)


@pytest.mark.slow
def test_the_first_round_follows_the_teacher_and_the_second_the_student(tmp_path):
  optimizer = student()
  fitted = imitator(tmp_path, optimizer)
  for who in (imitation.Teacher(0.1, 4, 20), optimizer):
    seeds = fitted._seeds[:2] if who is not optimizer else fitted._seeds[2:]
    expected = unroll.rollout(problems.bowl(10), who, tf.constant(seeds), 20).numpy().T
    np.testing.assert_allclose(
      fitted.round(int(who is optimizer)).losses, expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
def test_histories_are_the_gradients_of_the_chosen_coordinates(tmp_path):
  """More coordinates than are recorded: each column is one of the true gradients."""
  config = imitation.Imitation.from_dict(CONFIG.to_dict() | {"coordinates": 4, "trajectories": 1})
  fitted = imitator(tmp_path, student(), config)
  fitted.round(0)
  ((seen, wanted),) = fitted._students[0].histories
  assert seen.shape == wanted.shape == (20, 4)
  carry, _ = unroll.start(problems.bowl(10), fitted._teacher, tf.constant(fitted._seeds[:1]))
  for t in range(20):
    true = carry.gradients["theta"].numpy().ravel()
    assert all(np.isclose(g, true, rtol=1e-4, atol=1e-6).any() for g in seen[t])
    carry, _ = unroll.unroll(problems.bowl(10), fitted._teacher, carry, 1)


@pytest.mark.slow
def test_each_group_of_a_partition_is_fitted_to_its_own_parameters(tmp_path):
  def init(seed):
    values = tf.random.stateless_normal([2, 3, 3, 1, 2], seed)
    return {"conv/w": values[0], "fc/w": tf.reshape(values[1], [9, 2])}, {}

  def loss(params, task, seed):
    del task, seed
    return tf.reduce_sum(params["conv/w"] ** 2) + 1e-3 * tf.reduce_sum(params["fc/w"] ** 2)

  partition = optimizers.Partition({"conv": student(1), "fc": student(2)})
  before = {group: phi(one) for group, one in partition.groups.items()}
  fitted = imitator(tmp_path, partition, problem=problems.Problem(init, loss))
  fitted.round(0)
  conv, fc = (one.histories[0][0] for one in fitted._students)
  assert np.abs(conv).mean() > 100 * np.abs(fc).mean()
  for group, one in partition.groups.items():
    assert all(not np.array_equal(a, b) for a, b in zip(phi(one), before[group]))


@pytest.mark.slow
def test_going_on_after_a_stop_is_never_having_stopped(tmp_path):
  whole = student()
  fitted = imitator(tmp_path / "a", whole)
  expected = [fitted.round(i) for i in range(2)]
  imitator(tmp_path / "b", student()).round(0)
  resumed = student()
  fitted = imitator(tmp_path / "b", resumed)
  with mock.patch.object(fitted._students[0], "fit", side_effect=AssertionError):
    first = fitted.round(0)
  second = fitted.round(1)
  np.testing.assert_array_equal(first.losses, expected[0].losses)
  np.testing.assert_array_equal(second.losses, expected[1].losses)
  for a, b in zip(phi(whole), phi(resumed)):
    np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_other_options_find_nothing_of_an_earlier_run(tmp_path):
  """The scale of the updates changes no initial weight, and yet everything."""
  for scale in (0.1, 0.01):
    optimizer = optimizers.CoordinatewiseLSTM((8,), output_scale=scale)
    fitted = imitator(tmp_path, optimizer)
    computed = mock.patch.object(fitted, "_fit", side_effect=AssertionError("computed"))
    with computed, pytest.raises(AssertionError, match="computed"):
      fitted.round(0)
    fitted.round(0)


@pytest.mark.slow
def test_a_phi_that_diverges_is_not_kept(tmp_path):
  fitted = imitator(tmp_path, student())
  bad = mock.patch.object(imitation._Student, "fit", return_value=float("nan"))
  with bad, pytest.raises(imitation.Diverged, match="round 1; lower `learning_rate`"):
    fitted.round(0)
  assert np.isfinite(fitted.round(0).error)


def test_a_teacher_that_diverges(tmp_path):
  config = imitation.Imitation.from_dict(CONFIG.to_dict() | {"teacher_rate": 100.0})
  init = lambda seed: ({"x": tf.random.stateless_normal([3], seed)}, {})  # noqa: E731
  loss = lambda params, task, seed: tf.reduce_sum(tf.exp(params["x"] ** 2))  # noqa: E731
  with pytest.raises(imitation.Diverged, match="`teacher_rate`=100"):
    imitator(tmp_path, student(), config, problems.Problem(init, loss)).round(0)


def test_coordinates_that_depend_on_each_other(tmp_path):
  with pytest.raises(ValueError, match="independent"):
    imitator(tmp_path, optimizers.GlobalAveragingLSTM((3,), num_gacs=1))


def run(*args):
  out, err = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    status = programs.run(imitate.main, *args)
  return status, out.getvalue(), err.getvalue()


@pytest.mark.slow
def test_the_program_writes_what_training_starts_from(tmp_path):
  out = str(tmp_path / "out")
  status, said, err = run(*TINY, f"--out={out}")
  assert status == 0, err
  assert "Round 1: the teacher's" in said and "Round 2: the student's" in said
  optimizer, about = l2l_tf.load_optimizer(out)
  assert optimizer.layer_sizes == (3,) and about["imitation"]["training"]["rounds"] == 2
  assert about["data"] == "generated" and about["data_sha256"] is None
  assert not os.path.exists(f"{out}.work")
  assert about.horizon == 4
  with pytest.raises(candidates.ContenderError, match="bowl"):
    candidates.load([out], [], "quadratic", transfer=False)
  train = programs.load("train")
  flags = [*BOWL, "--unroll_length=2", "--num_epochs=1", "--episodes_per_epoch=1"]
  flags += ["--tuning_runs=0", "--test_runs=2", "--validation_runs=2", f"--init_from={out}"]
  flags += ["--num_tasks=1", f"--run_dir={tmp_path / 'run'}"]
  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    assert programs.run(train.main, *flags) == 0
  config = files.read_json(str(tmp_path / "run" / "config.json"))
  assert config["init_from"]["imitation"] == about["imitation"]


@pytest.mark.slow
def test_the_program_goes_on_after_ctrl_c(tmp_path):
  out = str(tmp_path / "out")
  assert run(*TINY, f"--out={tmp_path / 'whole'}/")[0] == 0
  fit = imitation._Student.fit
  with mock.patch.object(imitation._Student, "fit", autospec=True) as interrupted:
    calls = iter([fit, None])
    interrupted.side_effect = lambda *args: (next(calls) or _ctrl_c)(*args)
    status, said, _ = run(*TINY, f"--out={out}/")
  assert status == 130 and "the same command goes on" in said
  assert run(*TINY, f"--out={out}/")[0] == 0
  whole, resumed = (l2l_tf.load_optimizer(str(d))[0] for d in (tmp_path / "whole", out))
  for a, b in zip(phi(whole), phi(resumed)):
    np.testing.assert_array_equal(a, b)


BAD_VALUES = {
  "num_steps": ("1", "at least 2"),
  "teacher_rate": ("nan", "finite"),
  "warmup_steps": ("0", "at least 1"),
  "rounds": ("1.5", "1.5"),
  "trajectories": ("0", "at least 1"),
  "coordinates": ("0", "at least 1"),
  "fit_steps": ("-1", "at least 1"),
  "batch_size": ("0", "at least 1"),
  "unroll_length": ("7", "multiple of unroll_length"),
  "learning_rate": ("101", "at most 100"),
  "seed": ("-1", "at least 0"),
}


def test_every_flag_has_a_bad_value():
  assert BAD_VALUES.keys() == imitation.Imitation.flags().keys()


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_named(name):
  value, words = BAD_VALUES[name]
  status, _, err = run("--problem=bowl", "--out=x", f"--{name}={value}")
  assert status == 2 and name in err and words in err and err.count("\n") == 1


def test_a_directory_in_use_is_refused(tmp_path):
  (tmp_path / "config.json").write_text("mine")
  status, _, err = run(*TINY, f"--out={tmp_path}")
  assert status == 2 and f"{tmp_path} is not empty" in err
  assert (tmp_path / "config.json").read_text() == "mine"


def _ctrl_c(*_):
  raise KeyboardInterrupt


@pytest.mark.parametrize(
  "args, status, message",
  [
    (TINY, 2, "--out"),
    ([*TINY, "--out=x", "--unroll_length=3"], 2, "multiple of unroll_length, got 4 and 3"),
    ([*TINY, "--out=x", "--teacher_rate=0"], 2, "teacher_rate must be at least"),
    ([*TINY, "--out=x", "--rounds=0"], 2, "rounds must be at least 1, got 0"),
    ([*TINY, "--out=x", "--optimizer=lstm_gac", "--num_gacs=1"], 2, "--optimizer=partition"),
    ([*TINY, "--out=x", "--optimizer=partition"], 1, "No parameter has a label"),
    ([*TINY, "--out=x", "--init_from=nowhere"], 1, "nowhere"),
    ([*TINY, "--out=x", "--num_epochs=3"], 2, "num_epochs"),
    ([*TINY, "--out=/dev/null/x"], 1, "/dev/null/x"),
  ],
)
def test_errors_are_one_line(args, status, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  got, _, err = run(*args)
  assert got == status and message in err and err.count("\n") == 1
  assert not os.listdir(tmp_path)


def test_updates_of_zero_have_an_error_of_one(tmp_path):
  still = optimizers.CoordinatewiseLSTM((3,), output_scale=1e-20)
  options = CONFIG.to_dict() | {"learning_rate": 1e-9, "fit_steps": 10}
  found = imitator(tmp_path, still, imitation.Imitation.from_dict(options)).round(0).error
  np.testing.assert_allclose(found, 1, atol=0.05)  # another batch of coordinates than all


def test_a_student_in_float64(tmp_path):
  optimizer = optimizers.CoordinatewiseLSTM((3,), dtype=tf.float64)
  before = phi(optimizer)
  config = imitation.Imitation.from_dict(CONFIG.to_dict() | {"fit_steps": 2})
  imitator(tmp_path, optimizer, config, problems.bowl(10, tf.float64)).round(0)
  after = phi(optimizer)
  assert any((a != b).any() for a, b in zip(after, before))
  assert any((a != a.astype(np.float32)).any() for a in after)  # nothing was rounded on the way


def test_what_appears_in_the_directory_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
  """And the same command goes on once it is away."""
  out, follow = tmp_path / "out", imitation.Imitator.round

  def beside_another(self, index):
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text("another's")
    return follow(self, index)

  monkeypatch.setattr(imitation.Imitator, "round", beside_another)
  status, _, err = run(*TINY, f"--out={out}")
  assert status == 1 and f"{out} is not empty any more" in err and err.count("\n") == 1
  assert [path.name for path in out.iterdir()] == ["config.json"]
  assert (out / "config.json").read_text() == "another's" and os.listdir(f"{out}.work")
