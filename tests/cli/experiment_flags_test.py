"""Tests of the command line: help, presets with flags put in, and a bad value for every flag."""

import contextlib
import io
import logging
import sys

import pytest
import tensorflow as tf

from l2l_tf import problems
from l2l_tf import unroll
from l2l_tf.cli import experiment_flags
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import presets
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.training import Training
from l2l_tf.training import trainer as meta_trainer

KINDS = [*problem_options.PROBLEMS.values(), *optimizer_options.OPTIMIZERS.values(), Training]


def parse(*args):
  return parse_line(["program", *args])


def parse_line(argv):
  flags = experiment_flags.Flags("What it does.")
  flags.add(int, "runs", 3, "a flag of this program")
  experiment_flags.add_experiment(flags)
  return flags.parse(argv)


def experiment(*args):
  return experiment_flags.experiment(parse(*args))


def usage_error(*args):
  with pytest.raises(experiment_flags.UsageError) as info:
    experiment(*args)
  message = str(info.value)
  assert "\n" not in message and len(message) < 500
  return message


def test_no_flags_are_the_quick_preset():
  assert experiment() == presets.PRESETS["quick"]["mnist"]


@pytest.mark.parametrize("preset", presets.PRESETS)
@pytest.mark.parametrize("problem", problem_options.PROBLEMS)
def test_presets(preset, problem):
  expected = presets.PRESETS[preset][problem]
  assert experiment(f"--preset={preset}", f"--problem={problem}") == expected


def test_the_optimizer_is_that_of_the_preset_unless_given():
  assert type(experiment("--problem=cifar10").optimizer) is optimizer_options.Partition
  one = experiment("--problem=cifar10", "--optimizer=lstm")
  assert type(one.optimizer) is optimizer_options.LSTM
  assert one == presets.with_optimizer(experiment("--problem=cifar10"), "lstm")
  assert one.training == experiment("--problem=cifar10").training
  assert type(experiment("--optimizer=partition").optimizer) is optimizer_options.Partition


@pytest.mark.parametrize("name", optimizer_options.OPTIMIZERS)
def test_optimizers(name):
  assert type(experiment(f"--optimizer={name}").optimizer) is optimizer_options.OPTIMIZERS[name]


def test_flags_are_put_into_the_preset():
  changed = experiment(
    *["--problem=mnist", "--hidden=40,30", "--activation=relu", "--data_dir=/x", "--num_steps=200"],
    *["--learning_rate=0.5", "--meta_gradient=segments:50", "--layer_sizes=7", "--seed=9"],
  )
  preset = presets.PRESETS["quick"]["mnist"]
  assert changed == Experiment(
    preset.problem.replace(hidden=(40, 30), activation="relu", data_dir="/x"),
    preset.optimizer.replace(layer_sizes=(7,)),
    preset.training.replace(
      num_steps=200,
      learning_rate=0.5,
      meta_gradient="segments:50",
      seed=9,
    ),
  )


def test_a_flag_that_problems_share_goes_to_the_one_chosen():
  assert experiment("--problem=quadratic", "--init_scale=2").problem.init_scale == 2.0
  assert experiment("--problem=mnist", "--init_scale=2").problem.init_scale == 2.0
  assert experiment("--problem=bowl", "--dimensions=4").problem.dimensions == 4


@pytest.mark.parametrize("estimator", ["es", "pes"])
def test_evolution_switches_the_sampling_of_the_preset_off(estimator):
  assert presets.PRESETS["quick"]["mnist"].training.backprop_coordinates > 0
  training = experiment(f"--estimator={estimator}").training
  assert training.estimator == estimator and training.meta_gradient == "full"


def test_a_constant_above_80_is_a_factor():
  flags = ["--preprocessing=rescale", "--preprocessing_constant=1000"]
  assert experiment(*flags).optimizer.preprocessing_constant == 1000.0


def test_given_names_what_the_command_line_sets():
  assert parse("--seed=0", "--nojit_compile").given() == {"seed": 0, "jit_compile": False}
  assert parse().runs == 3 and parse("--runs=5").runs == 5


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_mentions_every_field(capsys, word):
  with pytest.raises(SystemExit) as info:
    parse(word)
  assert info.value.code == 0
  text = capsys.readouterr().out
  assert text.startswith("What it does.") and "--runs=..." in text
  for kind in KINDS:
    for name, field in kind.flags().items():
      assert f"--{name}" in text
      assert field.description in text or kind is not Training, name
  for table in (problem_options.PROBLEMS, optimizer_options.OPTIMIZERS, presets.PRESETS):
    assert all(name in text for name in table)
  assert "sigmoid|relu|tanh" in text and "default 20,20" in text


def help_of(*args):
  """The help as {group: {flag: text}}; "and as above" lines under None."""
  groups, group = {}, None
  with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit):
    parse(*args, "--help")
  lines = out.getvalue().splitlines()
  for line, following in zip(lines, [*lines[1:], ""]):
    if line.endswith(":") and not line.startswith(" "):
      group = groups.setdefault(line[:-1], {})
    elif line.startswith("  --"):
      group[line.strip()[2:].split("=")[0]] = following.strip()
    elif line.startswith("  and as above"):
      group[None] = line
  return groups


def test_help_shows_the_values_of_the_choice_made():
  plain, chosen = help_of(), help_of("--problem=quadratic", "--preset=paper")
  for shown, args in ((plain, []), (chosen, ["--problem=quadratic", "--preset=paper"])):
    values = experiment(*args)
    for title, options in (("Meta-training", values.training), (LSTM_GROUP, values.optimizer)):
      for name in options.flags():
        value = getattr(options, name)
        if not isinstance(value, (bool, tuple)):
          assert shown[title][name].endswith(f"; default {value}"), name
  assert "default rescale" in chosen[LSTM_GROUP]["preprocessing"]
  assert "default log_and_sign" in plain[LSTM_GROUP]["preprocessing"]
  assert chosen["Meta-training"]["jit_compile"].endswith("; default on")
  assert "default" not in plain["Meta-training"]["jit_compile"]
  assert plain["Experiment (paper sections and values in parentheses)"]["problem"].endswith("mnist")


def test_help_shows_the_values_of_the_other_problems_too():
  shown = help_of()
  assert shown["With --problem=mnist"]["init_scale"].endswith("default 0.01")
  assert shown["With --problem=quadratic"]["init_scale"].endswith("default 1.0")
  assert shown["With --problem=bowl"]["dimensions"] == "of theta; default 10"
  assert "--layer_sizes" in shown["With --optimizer=lstm_gac"][None]
  assert shown["With --optimizer=ntm_lbfgs"]["history"].endswith("default 10")


LSTM_GROUP = "With --optimizer=lstm"
BAD_VALUES = {  # what no experiment takes, and a word of the answer
  "problem": ("imagenet", "mnist"),
  "optimizer": ("gru", "lstm"),
  "preset": ("huge", "quick"),
  "hidden": ("20,0", "at least 1"),
  "activation": ("gelu", "sigmoid"),
  "batch_size": ("0", "at least 1"),
  "init_scale": ("0", "at least 1e-30"),
  "margin": ("14", "at most 13"),
  "pooling": ("3", "pooling must divide 28 - 2 margin = 20, got 3"),
  "filters": ("16,0", "at least 1"),
  "kernel_size": ("33", "at most 32"),
  "units": ("0", "at least 1"),
  "split": ("validation", "train"),
  "pictures": ("maybe", "maybe"),
  "data": ("web", "bundled"),
  "size": ("31", "at least 32"),
  "content_weight": ("-1", "at least 0"),
  "style_weight": ("nan", "finite"),
  "smoothness_weight": ("-0.5", "at least 0"),
  "vgg": ("torch", "keras"),
  "dimensions": ("0", "at least 1"),
  "layer_sizes": ("20,x", "integers separated by commas"),
  "preprocessing": ("log", "log_and_sign"),
  "preprocessing_constant": ("0", "at least 1e-30"),
  "output_scale": ("0", "must not be 0"),
  "num_gacs": ("-1", "at least 0"),
  "num_read_heads": ("0", "at least 1"),
  "num_write_heads": ("2000", "at most 1024"),
  "history": ("0", "at least 1"),
  "controller_sizes": ("24,0", "at least 1"),
  "orthogonal": ("maybe", "maybe"),
  "num_steps": ("30", "multiple of unroll_length"),
  "unroll_length": ("0", "at least 1"),
  "num_tasks": ("1.5", "1.5"),
  "estimator": ("magic", "backprop"),
  "perturbation": ("1e-07", "at least 1e-06"),
  "shortest": ("-1", "at least 0"),
  "num_epochs": ("0", "at least 1"),
  "episodes_per_epoch": ("-3", "at least 1"),
  "learning_rate": ("0", "at least 1e-09"),
  "learning_rate_decay": ("1.5", "at most 1"),
  "max_gradient_norm": ("-1", "at least 0"),
  "meta_gradient": ("sampled:0", "sampled:K or segments:S"),
  "loss_weight_power": ("11", "at most 10"),
  "imitation_rounds": ("1001", "at most 1000"),
  "jit_compile": ("2", "2"),
  "validation_runs": ("0", "at least 1"),
  "patience": ("-1", "at least 0"),
  "max_bad_steps": ("0", "at least 1"),
  "seed": ("4294967296", "at most"),
}
ANYTHING_GOES = {"data_dir", "content_dir", "style"}
NEEDS = {"dimensions": "--problem=quadratic", "num_gacs": "--optimizer=lstm_gac"}
NEEDS |= {"num_read_heads": "--optimizer=ntm_bfgs", "num_write_heads": "--optimizer=ntm_bfgs"}
NEEDS |= {"history": "--optimizer=ntm_lbfgs", "controller_sizes": "--optimizer=general"}
NEEDS |= {"orthogonal": "--optimizer=general"}
NEEDS |= dict.fromkeys(
  ["size", "content_weight", "style_weight", "smoothness_weight", "vgg"], "--problem=neural_art"
)
NEEDS |= dict.fromkeys(["filters", "kernel_size", "units"], "--problem=cifar10")


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_has_bounds(kind):
  """So that a typo is one line, not a machine without memory."""
  for name, schema in kind.model_json_schema()["properties"].items():
    if (schema := schema.get("items", schema)).get("type") in ("integer", "number"):
      assert {"minimum", "maximum"} <= schema.keys(), name


@pytest.mark.parametrize(
  "name", ["hidden", "batch_size", "num_steps", "num_tasks", "num_epochs", "validation_runs"]
)
def test_a_typo_is_one_line(name):
  message = usage_error(f"--{name}={10**12}")
  assert message.startswith(f"--{name} must be at most 1000") and "1000000000000" in message


def test_every_flag_has_a_bad_value():
  fields = {name for kind in KINDS for name in kind.flags()}
  assert fields - ANYTHING_GOES == BAD_VALUES.keys() - {"problem", "optimizer", "preset"}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_named(name):
  value, word = BAD_VALUES[name]
  message = usage_error(*filter(None, [NEEDS.get(name), f"--{name}={value}"]))
  assert name in message and value.split(",")[-1] in message and word in message, message


@pytest.mark.parametrize(
  "args, words",
  [
    (["--problem=bowl", "--hidden=3"], ["--hidden", "does not apply", "--problem=bowl"]),
    (["--dimensions=3"], ["--dimensions", "does not apply", "--problem=mnist"]),
    (["--problem=quadratic", "--data=bundled"], ["--data", "does not apply"]),
    (["--units=3"], ["--units", "does not apply", "--problem=mnist"]),
    (["--problem=cifar10", "--pooling=3"], ["--pooling must divide 32, got 3"]),
    (["--problem=cifar10", "--batch_size=1"], ["--batch_size must be at least 2, got 1"]),
    (
      ["--problem=neural_art", "--content_weight=0", "--style_weight=0", "--smoothness_weight=0"],
      ["must not all be 0"],
    ),
    (["--epochs=3"], ["Unknown command line flag 'epochs'"]),
    (["mnist"], ["Unexpected argument 'mnist'", "--problem=mnist"]),
    (["--num_steps"], ["num_steps"]),
    (["--hidden="], ["hidden", "integers separated by commas"]),
    (["--seed=x"], ["seed", "x"]),
    (["--preprocessing_constant=89"], ["--preprocessing_constant", "at most 80", "89"]),
    (["--meta_gradient=second"], ["--meta_gradient must be full, second_derivatives, sampled:K"]),
    (["--problem=mnsit"], ["did you mean mnist?"]),
    (["--activation=rellu"], ["did you mean relu?"]),
    (["--lerning_rate=1"], ["Did you mean: learning_rate"]),
  ],
)
def test_bad_command_lines(args, words):
  message = usage_error(*args)
  for word in words:
    assert word in message, message


class Expected(Exception):
  """An error that a program declares."""


OUT_OF_RANGE = tf.errors.InvalidArgumentError(
  None,
  None,
  "{{function_node __inference_68}} Received a label value of 6 which is outside the valid range of"
  " [0, 3).  Label values: 0 1 6\n\t [[{{node body/Sparse}}]] [Op:__inference_680]",
)
TOLD = (
  "InvalidArgumentError while the graph ran: Received a label value of 6 which is outside the valid"
  " range of [0, 3). Label values: 0 1 6."
)


@pytest.mark.parametrize(
  "error, status, output",
  [
    (None, 0, ""),
    (Expected("It broke."), 1, "program: It broke.\n"),
    (KeyboardInterrupt(), 130, "program: Stopped by SIGINT.\n"),
    (experiment_flags.UsageError("Bad flag."), 2, "program: Bad flag. Run with --help"),
    (unroll.NotDifferentiable("No gradient."), 1, "program: No gradient.\n"),
    (OUT_OF_RANGE, 1, f"program: {TOLD} If the problem is of your own, look at its data"),
  ],
)
def test_run_turns_errors_into_one_line_and_a_status(monkeypatch, capsys, error, status, output):
  monkeypatch.setattr(sys, "argv", ["program", "--x"])

  def main(argv):
    assert argv == ["program", "--x"]
    if error:
      raise error
    return 0

  with pytest.raises(SystemExit) as info:
    experiment_flags.run(main, (Expected,))
  assert info.value.code == status
  captured = capsys.readouterr()
  assert captured.err.startswith(output) and captured.err.count("\n") == (error is not None)


def test_run_lets_defects_through(monkeypatch):
  def main(argv):
    raise KeyError("a defect")

  monkeypatch.setattr(sys, "argv", ["program"])
  with pytest.raises(KeyError):
    experiment_flags.run(main, (Expected,))


SAID = "Lower `learning_rate` or `update_scale`, or take `optimizer`=lstm: `a b` is not `runs`."
SHOWN = "Lower --learning_rate or `update_scale`, or take --optimizer=lstm: `a b` is not --runs."


@pytest.mark.parametrize("kind", [Expected, experiment_flags.UsageError])
def test_run_gives_dashes_to_the_parameters_that_are_flags(monkeypatch, capsys, kind):
  """Flags of the program, whatever else is parsed meanwhile."""
  monkeypatch.setattr(sys, "argv", ["program", "--runs=4"])

  def main(argv):
    assert parse_line(argv).runs == 4
    experiment_flags.Flags("").parse(["another"])
    raise kind(SAID)

  with pytest.raises(SystemExit):
    experiment_flags.run(main, (Expected,))
  assert capsys.readouterr().err.startswith(f"program: {SHOWN}")


@pytest.mark.parametrize(
  "path, shown",
  [
    (meta_trainer.__file__, SHOWN),
    (problems.datasets.__file__, SHOWN),
    ("/lib/keras/layer.py", SAID),
  ],
)
def test_run_gives_them_to_warnings_of_ours_too(monkeypatch, caplog, path, shown):
  monkeypatch.setattr(sys, "argv", ["program"])
  logger = logging.getLogger("absl")

  def warn():
    text, words = SAID.replace("learning_rate", "%s"), ("learning_rate",)
    logger.handle(logger.makeRecord("absl", logging.WARNING, path, 1, text, words, None))

  def main(argv):
    parse_line(argv)
    warn()
    return 0

  with pytest.raises(SystemExit):
    experiment_flags.run(main, (Expected,))
  warn()  # not in a program any more
  assert [record.getMessage() for record in caplog.records] == [shown, SAID]
