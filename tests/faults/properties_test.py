"""Properties of readers and writers that any value must have (hypothesis)."""

import contextlib
import copy
import io
import json
from typing import Any

from hypothesis import HealthCheck
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pytest

from l2l_tf import optimizers
from l2l_tf.config import presets
from l2l_tf.config.experiment import Experiment
from l2l_tf.evaluation import results
from l2l_tf.evaluation import results_schema
from l2l_tf.storage import optimizer_files
from l2l_tf.storage import peers
from tests.faults import readers
from tests.faults import table

EXAMPLES = table.trials(25, 2_000)
JSON_READERS = ["config", "run_config", "results", "visualization", "sweeps"]
JSON_READERS += ["keras_config"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANYTHING = st.recursive(
  LEAVES,
  lambda x: st.lists(x, max_size=5) | st.dictionaries(st.text(), x, max_size=5),
  max_leaves=8,
)
many = settings(
  max_examples=EXAMPLES,
  deadline=None,
  derandomize=True,
  database=None,
  suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def places(value: Any, path=()) -> list[tuple]:
  """The path of every value in a document, itself included."""
  found, inside = [path], value.items() if isinstance(value, dict) else ()
  if isinstance(value, list):
    inside = enumerate(value[:3])  # the others are alike
  for key, child in inside:
    found += places(child, (*path, key))
  return found


def replaced(document: Any, path: tuple, value: Any) -> Any:
  """A copy of the document with what is at `path` replaced; as it is, if there is no such place."""
  if not path:
    return value
  document = copy.deepcopy(document)
  with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took it away
    at(document, path[:-1])[path[-1]] = value
  return document


def documents(seed: Any) -> st.SearchStrategy:
  """The document with one to three of its values replaced by anything, or by another of its own."""
  own = places(seed)
  values = ANYTHING | st.sampled_from(own).map(lambda path: at(seed, path))
  changes = st.lists(st.tuples(st.sampled_from(own), values), min_size=1, max_size=3)

  def changed(pairs):
    document = seed
    for path, value in pairs:
      document = replaced(document, path, value)
    return document

  return changes.map(changed)


def at(document: Any, path: tuple) -> Any:
  for key in path:
    document = document[key]
  return document


@pytest.mark.parametrize("name", JSON_READERS)
def test_any_json_is_read_or_refused_by_a_documented_error(name):
  reader, answers = readers.READERS[name], []

  @many
  @given(documents(json.loads(reader.seed())))
  def holds(document):
    answers.append(reader.accepts(json.dumps(document).encode()))

  with table.trial(f"any JSON: {name}", EXAMPLES):
    holds()
    assert len(answers) >= EXAMPLES and not all(answers)


QUADRATIC = presets.PRESETS["quick"]["quadratic"].to_dict()


def test_an_experiment_that_is_accepted_is_written_and_read_again():
  accepted = []

  @many
  @example(QUADRATIC)  # few others are accepted
  @given(documents(QUADRATIC))
  def holds(document):
    try:
      experiment = Experiment.from_dict(document)
    except ValueError:
      return
    accepted.append(experiment)
    text = json.dumps(experiment.to_dict())
    assert Experiment.from_dict(json.loads(text)) == experiment

  holds()
  assert accepted


def test_results_that_are_accepted_are_written_and_read_again(tmp_path):
  path, accepted = str(tmp_path / "results.json"), []

  @many
  @given(documents(json.loads(readers.READERS["results"].seed())))
  def holds(document):
    try:
      results_schema.validate(document)
    except ValueError:
      return
    accepted.append(document)
    results.write(path, document)
    assert results.read(path) == document

  holds()
  assert accepted


@many
@given(st.data())
def test_phi_of_any_numbers_comes_back_bit_for_bit(data):
  optimizer = optimizers.CoordinatewiseLSTM((2,))
  for variable in optimizer.trainable_variables:
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    variable.assign(data.draw(arrays.arrays(np.float32, tuple(variable.shape), elements=numbers)))
  again = optimizer_files.from_bytes(
    optimizer.config(), optimizer_files.weights_to_bytes(optimizer), "a file"
  )
  for a, b in zip(optimizer.trainable_variables, again.trainable_variables, strict=True):
    assert a.numpy().tobytes() == b.numpy().tobytes()


ARRAYS = arrays.arrays(
  arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, max_side=5)
) | st.just(np.array([1, None]))


@many
@given(st.dictionaries(st.sampled_from([*peers.SHAPES, "more"]), ARRAYS))
def test_a_peer_of_any_arrays_is_refused(found):
  """None has the shapes; objects are not unpickled."""
  buffer = io.BytesIO()
  np.savez(buffer, **found)
  assert not readers.READERS["peer"].accepts(buffer.getvalue())
