"""Command lines made from option groups: every field becomes a flag, checked in one place."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import itertools
import logging
import os
import re
import shlex
import signal
import sys
from typing import Any, TypeVar

from l2l_tf.cli import output
from l2l_tf.cli import paths
from l2l_tf.cli.flags import CommandLine
from l2l_tf.cli.flags import Flags
from l2l_tf.cli.flags import UsageError
from l2l_tf.config import experiment as experiment_lib
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import presets
from l2l_tf.config import problems as problem_options
from l2l_tf.config.experiment import Experiment
from l2l_tf.config.options import Options
from l2l_tf.config.training import Training
from l2l_tf.config.user_code import is_name
from l2l_tf.errors import ExpectedError
from l2l_tf.storage import labels

_Options = TypeVar("_Options", bound=Options)
DEFAULT_PRESET = "quick"
_ROOM = os.path.dirname(os.path.abspath(__file__))
OURS = tuple(  # where our code lies, and not that of others which logs by absl too
  os.path.normpath(os.path.join(_ROOM, "..", folder)) + os.sep for folder in (".", "../problems")
)


def add_experiment(
  flags_: Flags,
  training: type[Options] = Training,
  known: Mapping[str, type[Options]] = problem_options.PROBLEMS,
):
  """Adds the flags that make an `Experiment`, or with another kind of training `parts`.

  Args:
    flags_: to add to.
    training: whose options the training's flags are.
    known: problems by name, all or `SINGLE`.
  """
  flags_.group("Experiment (paper sections and values in parentheses)")
  flags_.add(
    str,
    "optimizer",
    None,
    "what is trained; default of the preset: lstm; partition for cifar10, general for general",
    optimizer_options.OPTIMIZERS,
  )
  flags_.add(
    str, "preset", DEFAULT_PRESET, "quick: minutes on two cores; paper: hours", presets.PRESETS
  )
  flags_.add(str, "problem", "mnist", "what the optimizer learns to optimize", known)
  for name, kind in known.items():
    flags_.group(f"With --problem={name}")
    flags_.add_options(kind, lambda f, name=name: _preset(f, name, f.optimizer).problem)
  for name, kind in optimizer_options.OPTIMIZERS.items():
    flags_.group(f"With --optimizer={name}")
    flags_.add_options(kind, lambda f, name=name: _preset(f, f.problem, name).optimizer)
  flags_.group("Meta-training" if training is Training else training.__name__)
  flags_.add_options(training, lambda f: _training(training, _preset(f, f.problem, f.optimizer)))


def add_problem(flags_: Flags, text: str):
  """Adds the flag --problem and those that make each problem."""
  flags_.add(str, "problem", "mnist", text, problem_options.SINGLE)
  for name, kind in problem_options.SINGLE.items():
    flags_.group(f"With --problem={name}")
    flags_.add_options(kind, lambda f, kind=kind: kind())


def add_user_optimizer(flags_: Flags):
  """Adds the flag of the code that files of a user's own optimizers may name."""
  flags_.add(
    str, "user_optimizer", None, "module:factory that built an optimizer of your own; it is run"
  )


def add_output(flags_: Flags, default: str | None, text: str):
  """Adds the flags of a file that `outputs.check` guards: --out and --overwrite."""
  flags_.add(paths.Written, "out", default, text)
  flags_.add(
    bool, "overwrite", False, "replace it even by fewer runs, other data or other optimizers"
  )


def experiment(flags_: Flags) -> Experiment:
  """Returns the preset with the given flags put in.

  Raises:
    UsageError: for a value out of bounds, or a flag that does not apply.
  """
  try:
    return Experiment(**parts(flags_))
  except ValueError as error:
    raise UsageError(f"--{error}") from error


def parts(flags_: Flags, training: type[Options] = Training) -> dict[str, Any]:
  """Returns "problem", "optimizer" and "training" with the given flags put in.

  Raises:
    UsageError: for a value out of bounds, or a flag that does not apply.
  """
  preset = _preset(flags_, flags_.problem, flags_.optimizer)
  groups: dict[str, Options] = {"problem": preset.problem, "optimizer": preset.optimizer}
  groups["training"] = _training(training, preset)
  kinds = [*problem_options.PROBLEMS.values(), *optimizer_options.OPTIMIZERS.values(), training]
  choice = f"--problem={flags_.problem}"
  choice += f" --optimizer={flags_.optimizer}" if flags_.optimizer else ""
  return _put_in(flags_, groups, kinds, choice)


def _training(kind: type[Options], preset: Experiment) -> Options:
  """The options of a training of this kind that the flags are put into."""
  return preset.training if kind is Training else kind()


def _preset(flags_: Flags, problem_name: str, optimizer_name: str | None) -> Experiment:
  """Returns the experiment that the other flags are put into."""
  preset = presets.preset(flags_.preset, problem_name)
  given, training = flags_.given(), preset.training
  if given.get("estimator") in ("es", "pes"):  # which do not backpropagate
    training = training.replace(meta_gradient="full")
  if given.get("init_from"):  # phi comes from there
    training = training.replace(imitation_rounds=0)
  preset = preset.replace(training=training)
  return presets.with_optimizer(preset, optimizer_name) if optimizer_name else preset


def problem(flags_: Flags) -> "problem_options.AnyProblem":
  """Returns the problem with the given flags put in.

  Raises:
    UsageError: for a value out of bounds, or a flag that does not apply.
  """
  options = experiment_lib.problem(flags_.problem)
  kinds = problem_options.PROBLEMS.values()
  return _put_in(flags_, {"": options}, kinds, f"--problem={flags_.problem}")[""]


def options_of(flags_: Flags, options: _Options) -> _Options:
  """Returns `options`, whose flags the program has, with those given put in.

  Raises:
    UsageError: for a value out of bounds.
  """
  return _put_in(flags_, {"": options}, [type(options)], "")[""]


def flags_of(experiment_: Experiment) -> list[str]:
  """The inverse of `experiment`: the fewest flags that make it."""
  described = experiment_.to_dict()
  names = {part: described[part]["name"] for part in ("problem", "optimizer")}
  found = []
  for kind, optimizer in itertools.product(presets.PRESETS, (None, names["optimizer"])):
    words = [f"--problem={names['problem']}"]
    words += [f"--preset={kind}"] if kind != DEFAULT_PRESET else []
    words += [f"--optimizer={optimizer}"] if optimizer else []
    add_experiment(flags_ := Flags(""))
    base = _preset(flags_.parse(["", *words]), names["problem"], optimizer)
    if type(base.optimizer) is type(experiment_.optimizer):
      pairs = [(getattr(experiment_, part), getattr(base, part)) for part in described]
      different = [flag for pair in pairs for flag in _different(*pair)]
      found.append(words + different)
  return min(found, key=len)


def problem_flags(name: str, options: Options) -> list[str]:
  """The inverse of `problem`: the flags that make the problem `name` with these options."""
  return [f"--problem={name}", *_different(options, experiment_lib.problem(name))]


def _different(options: Options, base: Options) -> list[str]:
  """A flag for each option that is another one in `base`."""
  return [
    _flag(name, value)
    for name in options.flags()
    if (value := getattr(options, name)) != getattr(base, name)
  ]


def _flag(name: str, value: Any) -> str:
  if isinstance(value, bool):
    return f"--{name}" if value else f"--no{name}"
  return f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


def users_problem(flags_: Flags) -> str | None:
  """The name of a problem of the user's that the command line gives; None for one of ours."""
  return flags_.problem if is_name(flags_.problem) else None


def users_optimizer(flags_: Flags) -> str | None:
  """The name of an optimizer of the user's that the command line gives; None for one of ours."""
  return flags_.optimizer if is_name(flags_.optimizer) else None


def problem_label(flags_: Flags) -> str:
  """The name of the problem as a part of file names: a user's is called module-factory."""
  return flags_.problem.replace(":", "-")


def _put_in(
  flags_: Flags, groups: dict[str, Options], kinds: Iterable[type[Options]], choice: str
) -> dict[str, Any]:
  """Returns `groups` with the given flags put in; `kinds` are all there are to choose from."""
  known = {name for kind in kinds for name in kind.flags()}
  unused = {name: value for name, value in flags_.given().items() if name in known}
  try:
    for part, options in groups.items():
      mine = {name: unused.pop(name) for name in options.flags() if name in unused}
      groups = groups | {part: options.replace(**mine)}
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
  label, path = labels.split_label(text)
  prefix = "" if label is None else f"{label}="
  return prefix + labels.relative(path)


def run(main: Callable[[Sequence[str]], int], errors: tuple[type[Exception], ...] = ()):
  """Runs `main(sys.argv)`; an expected error becomes one line and exit status 2, 1, or 130.

  Expected are `ExpectedError`, OSError, what TensorFlow raises in a graph, and `errors`.

  Errors, and warnings of ours, name parameters in backticks: here these get the dashes of flags.
  """
  signal.signal(signal.SIGINT, signal.default_int_handler)  # bin/*.py had it die without a word
  output.degrade()
  if hasattr(sys.stdout, "reconfigure"):
    sys.stdout.reconfigure(line_buffering=True)  # in a log it keeps its place among the errors
  argv = CommandLine(sys.argv)
  expected: tuple[type[Exception], ...] = (ExpectedError, OSError, *errors)
  logger, dashes = logging.getLogger("absl"), _dashes(argv)
  logger.addFilter(dashes)
  try:
    status = main(argv)
  except UsageError as error:
    text = f"{argv.dashed(str(error))} Run with --help for all flags."
    print(output.one_line(f"{sys.argv[0]}: {text}"), file=sys.stderr)
    status = 2
  except expected as error:
    print(output.one_line(f"{sys.argv[0]}: {argv.dashed(str(error))}"), file=sys.stderr)
    status = 1
  except KeyboardInterrupt:
    print(f"{sys.argv[0]}: Stopped by SIGINT.", file=sys.stderr)
    status = 130
  except Exception as error:
    if not _is_of_a_graph(error):
      raise
    print(output.one_line(f"{sys.argv[0]}: {_while_running(error)}"), file=sys.stderr)
    status = 1
  finally:
    logger.removeFilter(dashes)
  sys.exit(status)


def _is_of_a_graph(error: Exception) -> bool:
  """Whether TensorFlow raised it while a graph ran; where it is not imported, it did not."""
  tensorflow = sys.modules.get("tensorflow")
  return tensorflow is not None and isinstance(error, tensorflow.errors.OpError)


def _while_running(error: Any) -> str:
  """One line on what an operation raised in a graph, as one of a user's problem does."""
  text = re.sub(r"{{.*?}}|\[\[.*|\[Op:\w+\]", "", error.message)
  return (
    f"{type(error).__name__} while the graph ran: {' '.join(text.split()):.400}. If the problem is"
    " of your own, look at its data and its loss."
  )


def _dashes(argv: CommandLine) -> Callable[[logging.LogRecord], bool]:
  """A filter that lets all pass, warnings of ours in words of the command line."""

  def reword(record: logging.LogRecord) -> bool:
    if record.pathname.startswith(OURS):
      record.msg, record.args = argv.dashed(record.getMessage()), ()
    return True

  return reword
