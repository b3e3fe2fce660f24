"""What bin/diagnose.py does once its flags are right."""

import textwrap
from typing import Any

from l2l_tf.cli import experiment_flags
from l2l_tf.inspection import advice
from l2l_tf.inspection import diagnosis
from l2l_tf.problems.base import Stream
from l2l_tf.storage import optimizer_files


def run(flags: experiment_flags.Flags, directory: str, options: Any) -> int:
  """Looks at the optimizer in `directory` on the problem of `options`, and prints what it saw."""
  optimizer, about = optimizer_files.load_optimizer(directory, flags.user_optimizer)
  problem, data = options.build()
  print(f"Data: {data}", flush=True)
  seeds = problem.seeds(flags.seed, Stream.VALIDATION, count=flags.num_runs)
  found = diagnosis.diagnose(problem, optimizer, seeds, flags.num_steps, about.horizon)
  print(advice.table(found))
  experiment_flags.add_experiment(training := experiment_flags.Flags(""))  # what advice is about
  for finding in advice.advise(found):
    text = f"{finding.cause[0].upper()}{finding.cause[1:]}. {finding.text}"
    print("\n" + textwrap.fill(training.dashed(text), 100))
  return 0
