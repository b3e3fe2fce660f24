"""What every optimizer and every problem must do: one table of each, and none may be missing.

To add one, add a line to its table; a test below fails until you do.
"""

import numpy as np
import pytest
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import problems as problem_options
from l2l_tf.optimizers import axes
from l2l_tf.optimizers import blocks
from l2l_tf.optimizers import odd_part
from l2l_tf.optimizers import stored_state
from l2l_tf.problems import base
from l2l_tf.storage import optimizer_files
from tests import adapted
from tests import tiny_vgg


def with_other_last_layer(general):
  """As after training: at first it is 0, and nothing reaches the layers before it."""
  w = general.trainable_variables[-1 if general.trainable_variables[-1].shape.rank == 2 else -2]
  w.assign(tf.random.stateless_normal(w.shape, [5, 5]))
  return general


OPTIMIZERS = {
  **{name: lambda kind=kind: kind(0.01) for name, kind in optimizers.HAND_DESIGNED.items()},
  "lstm": lambda: optimizers.CoordinatewiseLSTM((4, 3), seed=1),
  "lstm_gac": lambda: optimizers.GlobalAveragingLSTM((4, 3), seed=1, num_gacs=2),
  "ntm_bfgs": lambda: optimizers.NTMBFGS((4, 3), seed=1, num_gacs=2),
  "ntm_lbfgs": lambda: optimizers.NTMLBFGS((4, 3), seed=1, num_gacs=2, history=4),
  "partition": lambda: optimizers.Partition(
    {kind: optimizers.CoordinatewiseLSTM((4, 3), seed=k) for k, kind in enumerate(("conv", "fc"))}
  ),
  "general": lambda: with_other_last_layer(optimizers.General((4, 3), seed=1)),
  "odd_part": lambda: optimizers.OddPart(optimizers.CoordinatewiseLSTM((4, 3), seed=1)),
}
LEARNED = [name for name in OPTIMIZERS if name in optimizers.LEARNED]
HAND_DESIGNED = list(optimizers.HAND_DESIGNED)

SHAPES = {"kernel": (2, 2, 1, 1, 2), "w": (2, 3, 2), "b": (2, 4), "scalar": (2,)}  # B = 2, n = 15


def random_gradients(count=5):
  rng = np.random.default_rng(0)
  return [
    {name: tf.constant(rng.normal(size=s), tf.float32) for name, s in SHAPES.items()}
    for _ in range(count)
  ]


GRADIENTS = random_gradients()
THETA = random_gradients(6)[-1]


def run(optimizer, sequence=GRADIENTS, call=None):
  """Updates of every step from the initial state, and the last state."""
  state, results = optimizer.initial_state(THETA), []
  for gradients in sequence:
    updates, state = (call or optimizer)(gradients, state, THETA)
    results.append(updates)
  return results, state


def assert_close(first, second, rtol, atol=1e-9):
  tf.nest.assert_same_structure(first, second)
  for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def signature(nest):
  return tf.nest.map_structure(lambda x: (tuple(x.shape), x.dtype), nest)


def test_no_optimizer_is_missing():
  assert OPTIMIZERS.keys() == optimizers.HAND_DESIGNED.keys() | optimizers.LEARNED.keys()
  assert optimizers.LEARNED.keys() == optimizer_options.OPTIMIZERS.keys()
  classes = {value for value in vars(optimizers).values() if isinstance(value, type)}
  classes -= {optimizers.Optimizer}
  assert classes == {type(make()) for make in OPTIMIZERS.values()}


@pytest.fixture(scope="module", params=OPTIMIZERS)
def case(request):
  """An optimizer, its updates run eagerly, the last state, and its compiled call."""
  optimizer = OPTIMIZERS[request.param]()
  updates, state = run(optimizer)
  return optimizer, updates, state, tf.function(optimizer.__call__, autograph=False)


def test_updates_have_the_names_shapes_and_dtypes_of_the_gradients(case):
  _, updates, _, _ = case
  for update in updates:
    assert list(update) == list(SHAPES)
    assert signature(update) == signature(GRADIENTS[0])
    assert all(np.isfinite(u).all() and np.any(u != 0) for u in update.values())


def test_the_state_keeps_its_structure(case):
  optimizer, _, state, _ = case
  initial = optimizer.initial_state(THETA)
  tf.nest.assert_same_structure(initial, state)
  assert signature(initial) == signature(state)
  again = optimizer.initial_state(GRADIENTS[3])  # of the shapes alone
  assert_close(initial, again, rtol=0, atol=0)


def test_calls_are_pure(case):
  optimizer, updates, state, _ = case
  again, last = run(optimizer)
  assert_close((updates, state), (again, last), rtol=0, atol=0)


def test_graph_equals_eager_in_one_trace(case):
  optimizer, updates, state, compiled = case
  results, last = run(optimizer, call=compiled)
  assert_close((results, last), (updates, state), rtol=2e-5, atol=1e-7)
  assert compiled.experimental_get_tracing_count() == 1


def test_xla_gives_the_same_numbers(case):
  optimizer, updates, _, _ = case
  results, _ = run(
    optimizer, call=tf.function(optimizer.__call__, autograph=False, jit_compile=True)
  )
  assert_close(results, updates, rtol=1e-5, atol=1e-6)


WRAPPED = {
  "alone": lambda optimizer: optimizer,
  "odd": odd_part.of,
  "stored": lambda optimizer: stored_state.stored(optimizer, tf.bfloat16),
  "in blocks": blocks.split,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_state_has_the_axes_that_it_says(case, wrap):
  """B, n and L are what their letters say, and what is none of them stays as it is."""
  optimizer, others = wrap(case[0]), []
  for shapes in ({"w": (5, 3, 7), "b": (5, 2)}, {"w": (6, 3, 7), "b": (6, 2), "c": (6, 8)}):
    params = {name: tf.zeros(shape) for name, shape in shapes.items()}
    other = []
    for _, own, state in optimizer.parts(params, optimizer.initial_state(params)):
      count = {"B": len(own["w"]), "n": sum(x[0].numpy().size for x in own.values()), "L": len(own)}
      for leaf, said in zip(tf.nest.flatten(state), axes.of(state), strict=True):
        assert list(leaf.shape) == [count.get(a, n) for a, n in zip(said, leaf.shape, strict=True)]
        other += [n for a, n in zip(said, leaf.shape) if a == "."]
    others.append(other)
  assert others[0] == others[1]


def test_a_divisible_state_ends_in_the_coordinates(case):
  """So that blocks of them can be cut out of it, as some wrapped ones' also."""
  whole = case[0]
  for optimizer, _, state in whole.parts(THETA, whole.initial_state(THETA)):
    assert not optimizer.divisible or {own[-1] for own in axes.of(state)} == {"n"}


WITHOUT_NUMBERS = {
  "one": {"empty": (2, 0, 3)},
  "two": {"empty": (2, 0), "matrix": (2, 3, 0)},
  "first": {"empty": (2, 0), **SHAPES},
  "among others": {"kernel": (2, 2, 1, 1, 2), "none": (2, 3, 0), "w": (2, 3, 2), "b": (2, 4)},
}


@pytest.mark.parametrize("shapes", WITHOUT_NUMBERS.values(), ids=WITHOUT_NUMBERS)
def test_parameters_without_numbers_change_nothing(case, shapes):
  """The others are updated as if there were none, eagerly and in a graph."""
  optimizer, *_ = case
  if isinstance(optimizer, optimizers.Partition) and not any(map(np.prod, shapes.values())):
    shapes = {**shapes, "w": (2, 3, 2)}  # a partition wants a matrix
  some = {name: shape for name, shape in shapes.items() if np.prod(shape)}
  rng = np.random.default_rng(3)
  values = [
    {name: tf.constant(rng.normal(size=shape), tf.float32) for name, shape in shapes.items()}
    for _ in range(3)
  ]

  def steps(names, call):
    of = lambda tensors: {name: tensors[name] for name in names}  # noqa: E731
    state, results = optimizer.initial_state(of(values[0])), []
    for gradients in values:
      updates, after = call(of(gradients), state, of(values[0]))
      assert signature(after) == signature(state)
      state = after
      results.append(updates)
    return results

  for call in (optimizer, tf.function(optimizer.__call__, autograph=False)):
    whole = steps(shapes, call)
    assert [signature(updates) for updates in whole] == [signature(values[0])] * 3
    expected = steps(some, call) if some else [{}] * 3
    assert_close([{n: u[n] for n in some} for u in whole], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("magnitude", [0.0, 1e-10, 1e10])
def test_extreme_gradients_give_finite_updates(case, magnitude):
  optimizer, _, _, compiled = case
  sequence = [
    {name: magnitude * tf.sign(g) for name, g in gradients.items()} for gradients in GRADIENTS
  ]
  results, state = run(optimizer, sequence, call=compiled)
  assert all(np.isfinite(x).all() for x in tf.nest.flatten((results, state)))


def test_instances_do_not_mix(case):
  """Other gradients in the second instance leave the first one's updates as they were."""
  optimizer, updates, _, compiled = case
  sequence = [
    {name: tf.stack([g[0], 3 * g[1] + 1]) for name, g in gradients.items()}
    for gradients in GRADIENTS
  ]
  others, _ = run(optimizer, sequence, call=compiled)
  first = [{name: u[0] for name, u in update.items()} for update in updates]
  assert_close([{n: u[0] for n, u in other.items()} for other in others], first, 1e-5, 1e-7)


@pytest.mark.parametrize("name", HAND_DESIGNED)
def test_hand_designed_optimizers_go_downhill_and_rest_at_zero(name):
  optimizer = OPTIMIZERS[name]()
  (first, *_), _ = run(optimizer)
  for key, update in first.items():
    np.testing.assert_array_equal(np.sign(update), -np.sign(GRADIENTS[0][key]))
  (still, *_), _ = run(optimizer, [tf.nest.map_structure(tf.zeros_like, GRADIENTS[0])])
  assert all(not np.any(update) for update in still.values())
  assert optimizer.trainable_variables == ()


@pytest.mark.parametrize("name", LEARNED)
def test_learned_optimizers_have_a_gradient_for_every_variable(name):
  optimizer = OPTIMIZERS[name]()
  with tf.GradientTape() as tape:
    updates, _ = run(optimizer)
    value = tf.add_n([tf.reduce_sum(u**2) for u in tf.nest.flatten(updates)])
  phi = optimizer.named_phi()
  gradients = tape.gradient(value, phi)
  assert len(gradients) >= 6
  for key, gradient in gradients.items():
    assert gradient is not None and np.isfinite(gradient).all(), key
    cancels = name == "odd_part" and key == "linear/b"  # what the two sides share
    assert np.any(gradient != 0) != cancels, key


@pytest.mark.parametrize("name", LEARNED)
def test_learned_optimizers_survive_save_and_load(name, tmp_path):
  optimizer = OPTIMIZERS[name]()
  for variable in optimizer.trainable_variables:
    variable.assign_add(tf.fill(variable.shape, 0.01))
  optimizer_files.save_optimizer(str(tmp_path), optimizer, {"epoch": 3})
  loaded, about = optimizer_files.load_optimizer(str(tmp_path))
  assert type(loaded) is type(optimizer) and loaded.config() == optimizer.config()
  assert optimizer.config()["kind"] == name and about == {"epoch": 3}
  assert_close(run(loaded), run(optimizer), rtol=0, atol=0)


@pytest.mark.parametrize("name", LEARNED)
def test_the_seed_of_learned_optimizers_decides_phi(name):
  layers = {"controller_sizes" if name == "general" else "layer_sizes": (6, 5)}
  options = optimizer_options.OPTIMIZERS[name](**layers)
  first, same, other = (options.build(seed).trainable_variables for seed in (1, 1, 2))
  assert_close(first, same, rtol=0, atol=0)
  assert any(np.any(a != b) for a, b in zip(first, other, strict=True))
  weights = [v.numpy().tobytes() for v in (*first, *other) if np.any(v != 0)]
  assert len(weights) == len(set(weights))  # none twice, within an optimizer neither


def pictures(shape=(3, 2, 1)):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (30, *shape), dtype=np.uint8)
  return problems.Dataset(images, rng.integers(0, 3, 30), 3, "random")


PROBLEMS = {
  "bowl": lambda dtype: problems.bowl(4, dtype=dtype),
  "convnet": lambda dtype: problems.convnet(pictures((6, 6, 3)), (4, 3), 3, 5, 8, 0.5, dtype),
  "mlp": lambda dtype: problems.mlp(pictures(), (4,), batch_size=6, init_scale=0.5, dtype=dtype),
  "quadratic": lambda dtype: problems.quadratic(4, dtype=dtype),
  "style_transfer": lambda dtype: problems.style_transfer(
    tiny_vgg.pictures(), tiny_vgg.style(), tiny_vgg.network(), dtype=dtype
  ),
  **adapted.PROBLEMS,  # from_function, from_keras, from_sonnet
}
NOT_PROBLEMS = {"DataError", "Dataset", "Problem", "load"}  # what else the package exports
EXPERIMENTS = {"mnist": "mlp", "cifar10": "convnet"}  # name: factory
EXPERIMENTS |= {"quadratic": "quadratic", "bowl": "bowl", "neural_art": "style_transfer"}


def test_no_problem_is_missing():
  assert PROBLEMS.keys() == set(problems.__all__) - NOT_PROBLEMS
  assert EXPERIMENTS.keys() == problem_options.SINGLE.keys()  # mixtures: tests/problems/tiny_test
  assert set(EXPERIMENTS.values()) == PROBLEMS.keys() - adapted.PROBLEMS.keys()


@pytest.fixture(scope="module", params=PROBLEMS)
def problem(request):
  return PROBLEMS[request.param](tf.float32)


def seeds_of(problem, count=3):
  return tf.constant(problem.seeds(11, base.Stream.TEST, count=count))


def draw(problem, seed):
  """theta_0, the loss there and its gradients, everything from one seed."""
  params, task = problem.init(seed)
  with tf.GradientTape() as tape:
    tape.watch(params)
    loss = problem.loss(params, task, seed)
  return params, task, loss, tape.gradient(loss, params)


def test_loss_and_gradients_are_finite(problem):
  params, _, loss, gradients = draw(problem, seeds_of(problem)[0])
  assert isinstance(params, dict) and all(isinstance(name, str) for name in params)
  assert loss.shape == () and np.isfinite(loss) and loss > 0
  assert signature(gradients) == signature(params)
  assert all(np.isfinite(g).all() and np.any(g != 0) for g in gradients.values())


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_everything_has_the_dtype_asked_for(name, dtype):
  problem = PROBLEMS[name](dtype)
  params, _, loss, gradients = draw(problem, seeds_of(problem)[0])
  assert {x.dtype for x in tf.nest.flatten((params, loss, gradients))} == {dtype}


def test_the_seed_decides_everything(problem):
  seeds = seeds_of(problem)
  first, again, other = (draw(problem, seeds[b]) for b in (0, 0, 1))
  assert_close(first, again, rtol=0, atol=0)
  for name, theta in first[0].items():
    assert np.all(theta != other[0][name])
  assert float(first[2]) != float(other[2])


@pytest.mark.parametrize("count", [1, 3])
def test_the_lifted_loss_is_the_loss_of_each_instance(problem, count):
  seeds = seeds_of(problem, count)
  params, tasks = base.instances(problem, seeds)
  with tf.GradientTape() as tape:
    tape.watch(params)
    lifted = tf.function(lambda p: base.losses(problem, p, tasks, seeds), autograph=False)(params)
  gradients = tape.gradient(lifted, params)
  both = tf.function(
    lambda p: base.losses_and_gradients(problem, p, tasks, seeds), autograph=False
  )(params)
  assert_close(both, (lifted, gradients), rtol=1e-5, atol=1e-6)
  assert lifted.shape == (count,)
  for b in range(count):
    single, _, loss, single_gradients = draw(problem, seeds[b])
    assert_close({n: p[b] for n, p in params.items()}, single, rtol=0, atol=0)
    np.testing.assert_allclose(lifted[b], loss, rtol=1e-5)
    assert_close({n: g[b] for n, g in gradients.items()}, single_gradients, rtol=1e-4, atol=1e-6)


def test_coordinatewise_is_what_it_says(case):
  """Whether the updates of `b` and `scalar` hear of the gradients of `w` within three steps."""
  optimizer, updates, _, _ = case
  changed = [{**gradients, "w": 3 - gradients["w"]} for gradients in GRADIENTS[:3]]
  others, _ = run(optimizer, changed)
  same = all(
    np.allclose(a[name], b[name], rtol=1e-5, atol=1e-7)
    for a, b in zip(updates, others)
    for name in ("b", "scalar")
  )
  assert optimizer.coordinatewise == same
