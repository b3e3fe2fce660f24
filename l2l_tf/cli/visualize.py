"""Shows what an optimizer has learned: python bin/visualize.py --optimizer=mnist_lstm

Runs a trained optimizer on one instance that it has not seen. For a few coordinates it records the
updates proposed along the way, and the update as a function of the current gradient at steps 1, 2,
... with the history of gradients as it was; beside those of SGD and Adam, each with the best of 30
learning rates, on the same iterates (section 4, Figures 9 and 10). A table says what there is to
see; the numbers go into runs/results/visualizations/OPTIMIZER.json, from which bin/figures.py
draws, with --html into a page of its own, and with --logdir into event files for TensorBoard. An
older file is replaced only if nothing of it is lost (--overwrite: in any case).
"""

from collections.abc import Sequence

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.cli import startup

LIMITS = {
  "num_steps": (1, 10**5),
  "num_panels": (1, 10**4),
  "num_values": (3, 10**4),
  "tuning_runs": (1, 10**4),
  "seed": (0, 2**31 - 1),
  "max_gradient": (0.0, 1e30),
}


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Read, "optimizer", None, "directory of a trained optimizer, or a pretrained name")
  flags.add(bool, "transfer", False, "accept an optimizer trained on another problem")
  experiment_flags.add_user_optimizer(flags)
  flags.add(
    str,
    "coordinates",
    None,
    "such as hidden_1/w[3,7],output/b[0]; default three or four, spread over the parameters",
  )
  flags.add(int, "num_steps", 100, "steps of the histories; the rivals are tuned for them")
  flags.add(int, "num_panels", 32, "the gradient is swept at each of so many first steps")
  flags.add(int, "num_values", 41, "gradients of a sweep, odd")
  flags.add(
    float, "max_gradient", 0.0, "sweeps end there (neural art: 400); 0: where the gradients end"
  )
  flags.add(int, "tuning_runs", 10, "instances that pick the learning rates")
  flags.add(
    paths.Read,
    "rates_from",
    None,
    "results file of bin/evaluate.py that has the rates; default: tune",
  )
  flags.add(int, "seed", 0, "of all instances")
  experiment_flags.add_output(
    flags, None, "the file; default runs/results/visualizations/OPTIMIZER.json"
  )
  flags.add(
    paths.Written,
    "html",
    None,
    "a page to open in a browser, with sliders, that needs no server and no network; default none",
  )
  flags.add(paths.Written, "logdir", None, "directory of event files for TensorBoard; default none")
  flags.group("Problem")
  experiment_flags.add_problem(flags, "what is optimized")
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  _check(flags)
  options = experiment_flags.problem(flags)
  return startup.load("l2l_tf.cli.work.visualize").run(flags, options)


def _check(flags: experiment_flags.Flags):
  if not flags.optimizer:
    raise experiment_flags.UsageError("Name the optimizer: --optimizer=mnist_lstm or a directory.")
  for name, (minimum, maximum) in LIMITS.items():
    if not minimum <= getattr(flags, name) <= maximum:
      raise experiment_flags.UsageError(
        f"--{name} must be a number of {minimum}..{maximum:g}, got {getattr(flags, name)}."
      )
  if flags.rates_from and "tuning_runs" in flags.given():
    raise experiment_flags.UsageError(
      "--rates_from and --tuning_runs exclude each other; give one."
    )
  if flags.num_values % 2 == 0:
    raise experiment_flags.UsageError(f"--num_values must be odd, got {flags.num_values}.")


def run():
  """Runs the program on the command line it was started with."""
  experiment_flags.run(main)
