"""Command lines made from option groups: every field becomes a flag, checked in one place."""

import dataclasses
import shlex
import signal
import sys
from typing import Callable, Iterable, Optional, Sequence

from l2l_tf.cli.flags import Flags
from l2l_tf.cli.flags import UsageError
from l2l_tf.config import experiment as experiment_lib
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import presets
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.options import Options
from l2l_tf.config.training import Training
from l2l_tf.evaluation import candidates


def add_experiment(flags_: Flags, training: type[Options] = Training):
  """Adds the flags that make an `Experiment`, or with another kind of training `parts`."""
  flags_.group("Experiment (paper sections and values in parentheses)")
  flags_.add(
    str,
    "optimizer",
    None,
    "what is trained; default that of the preset: partition for cifar10, lstm elsewhere",
    optimizer_options.OPTIMIZERS,
  )
  flags_.add(str, "preset", "quick", "quick: minutes on two cores; paper: hours", presets.PRESETS)
  flags_.add(
    str, "problem", "mnist", "what the optimizer learns to optimize", problem_options.PROBLEMS
  )
  for name, kind in problem_options.PROBLEMS.items():
    flags_.group(f"With --problem={name}")
    flags_.add_options(kind, lambda f, name=name: _preset(f, name, f.optimizer).problem)
  for name, kind in optimizer_options.OPTIMIZERS.items():
    flags_.group(f"With --optimizer={name}")
    flags_.add_options(kind, lambda f, name=name: _preset(f, f.problem, name).optimizer)
  flags_.group("Meta-training" if training is Training else training.__name__)
  flags_.add_options(training, lambda f: _training(training, _preset(f, f.problem, f.optimizer)))


def add_problem(flags_: Flags, text: str):
  """Adds the flag --problem and those that make each problem."""
  flags_.add(str, "problem", "mnist", text, problem_options.PROBLEMS)
  for name, kind in problem_options.PROBLEMS.items():
    flags_.group(f"With --problem={name}")
    flags_.add_options(kind, lambda f, kind=kind: kind())


def experiment(flags_: Flags) -> Experiment:
  """Returns the preset with the given flags put in.

  Raises:
    UsageError: for a value out of bounds, or a flag that does not apply.
  """
  try:
    return Experiment(**parts(flags_))
  except ValueError as error:
    raise UsageError(f"--{error}") from error


def parts(flags_: Flags, training: type[Options] = Training) -> dict[str, Options]:
  """Returns "problem", "optimizer" and "training" with the given flags put in.

  Raises:
    UsageError: for a value out of bounds, or a flag that does not apply.
  """
  preset = _preset(flags_, flags_.problem, flags_.optimizer)
  groups = {"problem": preset.problem, "optimizer": preset.optimizer}
  groups["training"] = _training(training, preset)
  kinds = [*problem_options.PROBLEMS.values(), *optimizer_options.OPTIMIZERS.values(), training]
  choice = f"--problem={flags_.problem}"
  choice += f" --optimizer={flags_.optimizer}" if flags_.optimizer else ""
  return _put_in(flags_, groups, kinds, choice)


def _training(kind: type[Options], preset: Experiment) -> Options:
  """The options of a training of this kind that the flags are put into."""
  return preset.training if kind is Training else kind()


def _preset(flags_: Flags, problem_name: str, optimizer_name: Optional[str]) -> Experiment:
  """Returns the experiment that the other flags are put into."""
  preset = presets.preset(flags_.preset, problem_name)
  if flags_.given().get("second_derivatives"):  # which sampled coordinates cannot have
    training = dataclasses.replace(preset.training, backprop_coordinates=0)
    preset = dataclasses.replace(preset, training=training)
  return presets.with_optimizer(preset, optimizer_name) if optimizer_name else preset


def problem(flags_: Flags) -> Options:
  """Returns the problem with the given flags put in.

  Raises:
    UsageError: for a value out of bounds, or a flag that does not apply.
  """
  options = experiment_lib.problem(flags_.problem)
  kinds = problem_options.PROBLEMS.values()
  return _put_in(flags_, {"": options}, kinds, f"--problem={flags_.problem}")[""]


def options_of(flags_: Flags, options: Options) -> Options:
  """Returns `options`, whose flags the program has, with those given put in.

  Raises:
    UsageError: for a value out of bounds.
  """
  return _put_in(flags_, {"": options}, [type(options)], "")[""]


def problem_label(flags_: Flags) -> str:
  """The name of the problem as a part of file names: a user's is called module-factory."""
  return flags_.problem.replace(":", "-")


def _put_in(
  flags_: Flags, groups: dict[str, Options], kinds: Iterable[type[Options]], choice: str
) -> dict[str, Options]:
  """Returns `groups` with the given flags put in; `kinds` are all there are to choose from."""
  known = {field.name for kind in kinds for field in dataclasses.fields(kind)}
  unused = {name: value for name, value in flags_.given().items() if name in known}
  try:
    for part, options in groups.items():
      mine = {f.name: unused.pop(f.name) for f in dataclasses.fields(options) if f.name in unused}
      groups = groups | {part: dataclasses.replace(options, **mine)}
  except ValueError as error:
    raise UsageError(f"--{error}") from error
  if unused:
    raise UsageError(f"--{next(iter(unused))} does not apply to {choice}; see --help.")
  return groups


def command(program: str, flags_: Flags, paths: Sequence[str], left_out: Sequence[str]) -> str:
  """The command line that the flags given make, without what belongs to the machine.

  Args:
    program: such as "bin/evaluate.py" or "-m benchmarks.lbfgs".
    flags_: parsed ones.
    paths: names of flags whose absolute paths, after a "LABEL=" or not, are made relative to here.
    left_out: names of flags to leave out.
  """
  words = ["python", *program.split()]
  for name, value in flags_.given().items():
    if name in left_out:
      continue
    if value is True:
      words.append(f"--{name}")
      continue
    for text in value if isinstance(value, list) else [value]:  # a list: given several times
      parts = [str(part) for part in text] if isinstance(text, tuple) else [str(text)]
      parts = [_relative(part) for part in parts] if name in paths else parts
      words.append(f"--{name}={','.join(parts)}")
  return shlex.join(words)


def _relative(text: str) -> str:
  label, separator, path = text.rpartition("=")
  return f"{label}{separator}{candidates.relative(path)}"


def run(main: Callable[[Sequence[str]], int], errors: tuple[type[Exception], ...]):
  """Runs `main(sys.argv)`; an expected error becomes one line and exit status 2, 1, or 130."""
  signal.signal(signal.SIGINT, signal.default_int_handler)  # bin/*.py had it die without a word
  try:
    status = main(sys.argv)
  except UsageError as error:
    print(f"{sys.argv[0]}: {error} Run with --help for all flags.", file=sys.stderr)
    status = 2
  except errors as error:
    print(f"{sys.argv[0]}: {error}", file=sys.stderr)
    status = 1
  except KeyboardInterrupt:
    print(f"{sys.argv[0]}: Stopped by SIGINT.", file=sys.stderr)
    status = 130
  sys.exit(status)
