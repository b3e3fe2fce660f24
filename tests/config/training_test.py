"""Tests of the options of meta-training: the choice of the meta-gradient, names of before."""

import json

import pytest

from l2l_tf.config.training import Training
from tests import sources


@pytest.mark.parametrize(
  "choice, expected",
  [
    ("full", (False, 0, 0)),
    ("second_derivatives", (True, 0, 0)),
    ("second_derivatives:5", (True, 0, 5)),
    ("sampled:300", (False, 300, 0)),
    ("segments:10", (False, 0, 10)),
  ],
)
def test_a_choice_and_the_three_options_that_it_was(choice, expected):
  training = Training(meta_gradient=choice)
  second, sampled, length = expected
  found = (training.second_derivatives, training.backprop_coordinates, training.segment_length)
  assert found == expected
  old = {"second_derivatives": second, "backprop_coordinates": sampled, "segment_length": length}
  assert Training.from_dict(old) == training


@pytest.mark.parametrize(
  "choice", ["", "half", "sampled", "sampled:0", "segments:-1", "full:3", "sampled:1e3", "full\n"]
)
def test_another_choice_is_named(choice):
  with pytest.raises(ValueError, match="meta_gradient must be full, second_derivatives, sampled:K"):
    Training(meta_gradient=choice)


def test_the_final_rate_is_the_first_times_the_decay():
  assert Training(learning_rate=0.02, learning_rate_decay=0.5).final_learning_rate == 0.01
  old = Training.from_dict({"learning_rate": 3e-3, "final_learning_rate": 1e-4})
  assert old.final_learning_rate == pytest.approx(1e-4, rel=1e-14)
  assert Training.from_dict({"final_learning_rate": 1e-3}).learning_rate_decay == 1.0


@pytest.mark.parametrize(
  "values, message",
  [
    ({"final_learning_rate": 0.1}, "at most learning_rate, got 0.1 and 0.001"),
    ({"final_learning_rate": 10**400}, "final_learning_rate must be finite, got 1000"),
    ({"final_learning_rate": float("nan")}, "final_learning_rate must be finite, got nan"),
    ({"final_learning_rate": "1"}, "final_learning_rate must be of type float, got '1'"),
    ({"final_learning_rate": 0.0, "learning_rate": None}, "got 0.0 and None"),
    ({"final_learning_rate": 0.0, "learning_rate": 0}, "learning_rate must be at least 1e-09"),
    ({"final_learning_rate": 0.0, "learning_rate_decay": 1.0}, "cannot be given beside the older"),
    ({"segment_length": 2, "meta_gradient": "full"}, "cannot be given beside the older"),
    ({"segment_length": 2, "backprop_coordinates": 3}, "neither second_derivatives nor segment"),
    ({"second_derivatives": True, "backprop_coordinates": 3}, "neither second_derivatives nor"),
    ({"second_derivatives": 1}, "second_derivatives must be of type bool, got 1"),
    ({"backprop_coordinates": -1}, "meta_gradient must be full"),
    ({"backprop_coordinates": 10**400}, "meta_gradient must be full"),
    ({"segment_length": 3}, "unroll_length must be a multiple of the segments"),
  ],
)
def test_older_names_with_bad_values(values, message):
  with pytest.raises(ValueError, match=message) as info:
    Training.from_dict(values)
  assert "\n" not in str(info.value) and len(str(info.value)) < 600


@pytest.mark.parametrize("name", ["mnist_lstm", "cifar10_conv_fc", "general", "quadratic_lstm"])
def test_the_trainings_of_shipped_optimizers_are_read(name):
  path = sources.ROOT / "l2l_tf" / "pretrained" / name / "config.json"
  old = json.loads(path.read_text())["about"]["experiment"]["training"]
  new = Training.from_dict(old)
  for key, value in old.items():
    found = getattr(new, key)
    assert found == (pytest.approx(value, rel=1e-14) if isinstance(value, float) else value), key
  assert Training.from_dict(new.to_dict()) == new
