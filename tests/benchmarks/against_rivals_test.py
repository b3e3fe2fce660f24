"""Tests of the race of meta-steps: all contestants compute the same."""

import contextlib
import importlib.util
import json
import os
import runpy
import sys

import numpy as np
import pytest

from benchmarks import against_rivals
from benchmarks.implementations import case as case_lib
from benchmarks.implementations import matrix_products
from benchmarks.implementations import ours
from benchmarks.implementations import ours_compiled
from benchmarks.implementations import ours_sampled
from benchmarks.implementations import per_parameter
from benchmarks.implementations import worker
from l2l_tf import problems
from l2l_tf.cli import experiment_flags
from l2l_tf.optimizers import lstm_kernel

PYTHON = os.environ.get("RIVALS_PYTHON", sys.executable)  # has the extra `rivals`
ABSENT = "RIVALS_PYTHON" not in os.environ and any(
  importlib.util.find_spec(name) is None for name in ("torch", "jax")
)
NEEDED = pytest.mark.skipif(ABSENT, reason="needs the extra `rivals`, or RIVALS_PYTHON")
# The original's way has a test of its own, in this process.
CONTESTANTS = ["per_parameter"] if ABSENT else ["torch_loop", "jax_scan"]


@pytest.fixture(scope="module")
def case():
  """Four steps of an MLP on eight images of 3 x 3 pixels."""
  random = np.random.default_rng(1)
  images = random.integers(256, size=[8, 3, 3]).astype(np.uint8)
  return ours.make_case(images, np.arange(8), num_steps=4, batch_size=4)


@pytest.fixture(scope="module")
def answer(case):
  """What ours computes."""
  return worker.check(ours.Ours(case))


def test_a_case_is_read_as_it_was_written(case, tmp_path):
  case_lib.save(str(tmp_path / "case.npz"), case)
  again = case_lib.load(str(tmp_path / "case.npz"))
  assert (again.p, again.output_scale, again.learning_rate) == (10.0, 0.1, 1e-3)
  for group in ("phi", "theta"):
    assert list(getattr(again, group)) == list(getattr(case, group))
    for name, value in getattr(case, group).items():
      np.testing.assert_array_equal(getattr(again, group)[name], value)
  np.testing.assert_array_equal(again.images, case.images)
  assert again.num_steps == 4 and again.num_layers == 2 and again.labels.shape == (5, 4)


def test_the_first_loss_and_update_by_hand(case, answer):
  """The first loss is that of theta_1, on the second minibatch, near that of a uniform guess."""
  assert answer["losses"].shape == (4,)
  np.testing.assert_allclose(answer["losses"][0], np.log(10), rtol=0.05)
  assert {k.partition(":")[2] for k in answer if ":" in k} == set(case.phi)
  changed = np.abs(answer["phi:linear/w"] - case.phi["linear/w"])
  assert np.max(changed) == pytest.approx(worker.CHECKED_STEPS * case.learning_rate, rel=0.1)


@pytest.mark.slow
def test_the_originals_way_computes_the_same(case, answer):
  received = worker.check(per_parameter.PerParameter(case))
  differences = against_rivals.compare("per_parameter", case, answer, received)
  assert differences["losses"] < 1e-6 and differences["gradients"] < 1e-4


@pytest.mark.slow
def test_the_compiled_cell_computes_the_same(case, answer, kernel, monkeypatch):
  monkeypatch.setattr(lstm_kernel, "_loaded", None)  # until the contestant asks for it
  received = worker.check(ours_compiled.OursCompiled(case))
  assert lstm_kernel.version()
  differences = against_rivals.compare("ours_compiled", case, answer, received)
  assert differences["losses"] < 1e-6 and differences["gradients"] < 1e-4


@pytest.mark.parametrize("key", ["losses", "gradients:lstm_1/w_gates", "phi:linear/b"])
def test_a_difference_is_an_error(case, answer, key):
  received = answer | {key: answer[key] * 1.5 + 0.01}
  with pytest.raises(against_rivals.Disagreement, match=key.partition(":")[0]):
    against_rivals.compare("rival", case, answer, received)


def test_flops_of_the_matrix_products_by_hand(case):
  """n coordinates x 2 flops x 80 gates x (22 + 40 rows forward, 20 + 40 to h, 22 + 40 to W)."""
  n = 9 * 20 + 20 + 200 + 10
  expected = 4 * n * 2 * (80 * (22 + 40 + 20 + 40 + 22 + 40) + 3 * 20)
  assert matrix_products.flops(case) == expected


def test_the_products_are_computed(case):
  """At the shapes that the flops count; the loop gives what NumPy gives."""
  floor = matrix_products.MatrixProducts(case)
  expected = 0.0
  for _, (a, b, transpose_a, transpose_b) in floor._operands:
    a, b = (x.numpy().T if t else x.numpy() for x, t in ((a, transpose_a), (b, transpose_b)))
    expected += (a @ b)[0, 0]
  assert floor.meta_step() == pytest.approx(expected, rel=1e-4)


def run(out, *args):
  argv = ["against_rivals", "--data=bundled", "--threads=1", "--rounds=1", "--batch=1"]
  argv += ["--num_steps=2", "--batch_size=4", f"--out={out}", *args]
  assert against_rivals.main(argv) == 0
  with open(out, encoding="utf-8") as file:
    return json.load(file)


@pytest.fixture(scope="module")
def race(tmp_path_factory):
  """Of those that are there, in processes of their own, on every seventh pixel of real digits.

  What is compared and then timed is one process each, as most of the time goes into imports. JAX
  spends the rest on optimizing what runs a few times.
  """
  out, names = tmp_path_factory.mktemp("race") / "out.json", ",".join(["ours", *CONTESTANTS])
  with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
    start, started = against_rivals.Process, {}

    def once(*args):
      if args not in started:
        started[args] = stack.enter_context(start(*args))
      return contextlib.nullcontext(started[args])

    load = problems.load
    smaller = lambda data: data._replace(images=data.images[:, ::7, ::7])  # noqa: E731
    patch.setattr(problems, "load", lambda *args: smaller(load(*args)))
    patch.setattr(against_rivals, "Process", once)
    patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    document = run(out, f"--contestants={names}", f"--rivals_python={PYTHON}")
  assert [name for name, *_ in started] == ["ours", *CONTESTANTS]
  return document


@pytest.mark.slow
def test_the_race(race):
  rows = {row["contestant"]: row for row in race["rows"]}
  assert list(rows) == ["ours", *CONTESTANTS]
  assert all(row["median_s"] > 0 and row["count"] == 1 for row in rows.values())
  assert "tensorflow" in rows["ours"]["versions"] and race["machine"]["cores"] >= 1
  assert {row["contestant"] for row in race["differences"]} == set(CONTESTANTS)


@pytest.mark.parametrize(
  "module", [matrix_products, ours, ours_compiled, ours_sampled, per_parameter]
)
def test_a_contestants_module_serves_it(module, monkeypatch):
  """Those that need TensorFlow, of which the race starts only one."""
  served = []
  monkeypatch.setattr(worker, "serve", lambda *args, **options: served.append((args, options)))
  runpy.run_path(module.__file__, run_name="__main__")
  (((contestant,), options),) = served
  assert contestant.__name__.lower() == module.__name__.rpartition(".")[2].replace("_", "")
  assert {*options} == {"packages"} and all(map(importlib.util.find_spec, options["packages"]))


@pytest.mark.slow
@NEEDED
@pytest.mark.parametrize("name", ["torch_loop", "jax_scan"])
def test_a_contestant_computes_the_same(race, name):
  (row,) = (row for row in race["differences"] if row["contestant"] == name)
  assert row["losses"] < 1e-5 and row["gradients"] < 1e-3


@pytest.mark.parametrize(
  "args, words",
  [
    (["--contestants=torch_loop"], "must be ours and some of"),
    (["--contestants=ours,keras"], "got ours, keras"),
    (["--rounds=0"], "--rounds must be at least 1"),
    (["--threads=0"], "--threads must be of 1"),
  ],
)
def test_bad_flags(args, words):
  with pytest.raises(experiment_flags.UsageError, match=words):
    against_rivals.main(["against_rivals", *args])


def test_a_contestant_that_cannot_start_is_an_error():
  with (
    against_rivals.Process("worker_that_is_not", "case.npz", 1, sys.executable) as process,
    pytest.raises(ChildProcessError, match="worker_that_is_not ended with status 1.*rivals"),
  ):
    process.ask("time", 1)
