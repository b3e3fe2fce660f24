"""Neural art in other styles and sizes: python -m benchmarks.neural_art --styles=a.jpg,b.jpg

`neural_art_lstm` and Adam, the best of its rivals in results/neural_art_*.json, from the same
theta_0 on the same photographs as there, style by style. Adam gets the best of the protocol's 30
rates in each style on `--tuning_runs` photographs, or `--learning_rate` as it is, where tuning
takes hours. Finished runs are kept in a work directory: the same command goes on after a stop.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Sequence
from typing import Any

import tqdm

from benchmarks import reports
from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.config.problems import NeuralArt
from l2l_tf.evaluation import candidates
from l2l_tf.evaluation.comparison import Comparison
from l2l_tf.evaluation.comparison import Setting
from l2l_tf.problems import photographs
from l2l_tf.storage import outputs
from l2l_tf.storage.cache import Parts

OURS, RIVAL = "neural_art_lstm", "adam"


def compared(setting: Setting, parts: Parts, learning_rate: float | None = None) -> dict[str, Any]:
  """How `OURS` and `RIVAL` end on one setting.

  Args:
    setting: on neural art.
    parts: where finished runs are kept.
    learning_rate: of `RIVAL`; None: tuned.

  Returns:
    `data`; the `learning_rate`; `mean`, curves by optimizer; `final_losses` by optimizer; and the
    ratio of these, paired over photographs: `ratio`, `low`, `high`, `wins`.
  """
  contenders = candidates.load([OURS], [], setting.name, transfer=False)
  rates = {} if learning_rate is None else {RIVAL: learning_rate}
  with tqdm.tqdm(unit="run") as bar:
    comparison = Comparison(
      setting, contenders, parts, [RIVAL], lambda _, runs: bar.update(runs), rates
    )
    bar.total = comparison.total_runs
    found = comparison.run()
  entries = found["optimizers"]
  (pair,) = found["ratios"]
  return {
    "data": found["data"],
    "learning_rate": entries[RIVAL]["learning_rate"],
    "mean": {name: entry["mean"] for name, entry in entries.items()},
    "final_losses": {name: entry["final_losses"] for name, entry in entries.items()},
    **{key: pair[key] for key in ("ratio", "low", "high", "wins")},
  }


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  styles = [style for group in flags.styles or () for style in group]
  names = [os.path.splitext(os.path.basename(style))[0] for style in styles]
  if not styles or len(set(names)) < len(names):
    raise experiment_flags.UsageError(
      f"--styles must name one image or more, each of another name, got {', '.join(styles)!r}."
    )
  parts = Parts(flags.work_dir or f"{flags.out or 'runs/neural_art'}.work")
  sizes = flags.num_steps, flags.num_runs, flags.tuning_runs, flags.seed
  tuning_runs = flags.tuning_runs if flags.learning_rate is None else 0
  content = outputs.Content(
    {"size": flags.size, "styles": names, "num_steps": flags.num_steps, "seed": flags.seed},
    {"num_runs": flags.num_runs, "tuning_runs": tuning_runs},
  )
  outputs.check(flags.out, content, flags.overwrite)
  for style in styles:  # what cannot be read is an error before hours of work
    photographs.load_styles(style, flags.size)
  rows, found = [], {}
  for name, style in zip(names, styles):
    options = NeuralArt(size=flags.size, content_dir=flags.content_dir, style=style, vgg=flags.vgg)
    found[name] = one = compared(Setting("neural_art", options, *sizes), parts, flags.learning_rate)
    row = {"size": flags.size, "style": name, "learning_rate": one["learning_rate"]}
    rows.append(row | {key: one[key] for key in ("ratio", "low", "high", "wins")})
    print(reports.table(rows[-1:]), flush=True)
  about = content.same | content.counts
  for key in ("data", "mean", "final_losses"):
    about[key] = {name: one[key] for name, one in found.items()}
  reports.report(__file__, flags, rows, **about)
  if not flags.work_dir:
    parts.remove()
  return 0


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  experiment_flags.add_output(flags, None, "the results file")
  flags.add(paths.Written, "work_dir", None, "finished runs; default OUT.work, removed at the end")
  flags.add(tuple[paths.Read, ...], "styles", None, "style images, one after another")
  flags.add(int, "num_runs", 10, "photographs of the test in each style", bounds=(2, 10**4))
  flags.add(int, "tuning_runs", 1, "photographs that pick Adam's rate", bounds=(1, 10**4))
  flags.add(float, "learning_rate", None, "Adam's; default tuned", bounds=(1e-6, 1e3))
  flags.add(int, "num_steps", 128, "T, the steps of each run", bounds=(1, 10**4))
  flags.add(int, "seed", 0, "of all instances, as in bin/evaluate.py", bounds=(0, 2**31 - 1))
  flags.add(int, "size", 64, "pixels a side of the pictures", bounds=(32, 4096))
  flags.add(paths.Read, "content_dir", None, "folder of photographs, as in bin/evaluate.py")
  flags.add(str, "vgg", "auto", "where VGG-16's weights come from", ("auto", "keras", "hed"))
  return flags


if __name__ == "__main__":
  experiment_flags.run(main)
