"""docs/zoo.md and its pictures, from results files alone."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

import numpy as np

from l2l_tf.plotting import curves
from l2l_tf.pretrained import GENERAL
from l2l_tf.zoo import comparison
from l2l_tf.zoo import protocol
from l2l_tf.zoo import scores
from l2l_tf.zoo import summary
from l2l_tf.zoo import tasks
from l2l_tf.zoo.protocol import BENCHMARK_VERSION
from l2l_tf.zoo.protocol import FAMILIES
from l2l_tf.zoo.protocol import PUBLISHED

CUTS = (
  "10,000 steps are run on 11 of the 33 tasks, the cheapest third of either split.",
  "`quadratic_ntm_bfgs` is run on models of up to 6,000 parameters: its memory grows with their"
  " square.",
  "Odd parts (`@odd`) are run for 100 and 1,000 steps, with two seeds.",
  "Adam's 15 rates are run with one seed; the best three for each task and horizon with all.",
  "The published problems are run for 10,000 steps with one seed, without the two convolutional"
  f" ones of 32×32 pixels, by {', '.join(protocol.PUBLISHED_RIVALS)}; those whose names begin with"
  f" `{protocol.PUBLISHED_LARGE}` by {' and '.join(protocol.LARGE_RIVALS)} alone, the auto-encoder"
  " of CIFAR-10 not by Celo.",
)
"""What was left out to fit into twelve hours of two cores."""
FIRST_HORIZON = 1000  # by which tables are sorted
PROFILE_LEVELS = np.linspace(math.log(0.2), math.log(5), 121)
PICTURE = "figures/zoo_profile.png"
_START = f"""# Which optimizer for which model

`make zoo-report` writes this page from `results/zoo_*.json`; do not edit it. Version
{BENCHMARK_VERSION} of the benchmark: Keras models as their users write them, on real data. No
optimizer here was given a setting, except the tuned Adam that is the bar: the best of 15 rates, in
hindsight. **Held-out families are the claim**; what meta-training may see is told apart.

- *loss* is the final training loss (mean of the last 5 % of the steps) over that of Keras's default
  Adam from the same start with the same minibatches; below 1 is better. Over tasks it is the
  interquartile mean of log ratios over all runs, with a 95 % stratified bootstrap interval.
- *speed-up* is how many times as many steps Adam needs to the same loss, at most
  {protocol.REACH[100]}, {protocol.REACH[1000]} and {protocol.REACH[10000]} at 100, 1,000 and 10,000
  steps, as Adam is not run longer. Adam's own is 1 over tasks, not on each: each seed is held
  against the mean of all, made monotone, and where Adam gets nowhere, noise decides.
- *won* and *lost* count tasks where the interval over the seeds leaves out 1 (against default
  Adam, and against tuned Adam where it says so), *held-out better* those where accuracy, or error,
  on held-out examples is better than Adam's. A run that diverged counts as {scores.MAX_RATIO:.0f}
  times the loss.
"""


def document(results: Mapping[str, dict[str, Any]]) -> str:
  """The page.

  Args:
    results: files by optimizer; that of default Adam is needed.

  Raises:
    ValueError: if it is missing.
  """
  if comparison.DEFAULT not in results:
    raise ValueError(
      f"There are no results of the default {comparison.DEFAULT}, to which all are compared."
    )
  results = comparison.Results(results)
  parts = [_START, f"\n![Performance profiles]({PICTURE})\n"]
  for split, title in (("held-out", "Held-out families"), ("training", "Families to train on")):
    for horizon in protocol.HORIZONS:
      rows = _score_rows(results, split, horizon)
      if rows:
        parts += [f"\n## {title}, {horizon:,} steps\n", _table(_SCORE_HEADER, rows)]
  parts += [f"\n## {GENERAL} against each of the others\n", _against_all(results)]
  parts += _odd(results)
  parts += ["\n## By family\n", _families(results)]
  parts += ["\n## Cost\n", _costs(results)]
  parts += ["\n## Published problems\n", _published(results)]
  parts += ["\n## Tasks\n", _tasks(results), "\n## What was cut\n"]
  parts += [f"- {cut}\n" for cut in CUTS]
  parts += _failures(results)
  return "".join(parts)


def draw_profiles(results: Mapping[str, dict[str, Any]], names: Sequence[str]) -> curves.Figure:
  """For each horizon the share of runs on held-out families that are below a ratio of losses."""
  results = comparison.Results(results)
  figure = curves.new_figure(10.5, 3.4)
  all_axes = figure.subplots(1, len(protocol.HORIZONS), sharey=True)
  for axes, horizon in zip(all_axes, protocol.HORIZONS):
    for number, name in enumerate(names):
      found = results.against(name, comparison.DEFAULT)
      ratios = [c.log_ratios for c in comparison.of_split(found, "held-out", horizon)]
      if ratios:
        style = _STYLES[number % len(_STYLES)]
        shares = scores.profile(ratios, PROFILE_LEVELS)
        axes.plot(np.exp(PROFILE_LEVELS), shares, label=name, **style)
    axes.set_xscale("log")
    axes.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color=curves.SILVER, linewidth=0.6)
    axes.set_title(f"{horizon:,} steps", fontsize=9)
    axes.set_xlabel("loss over default Adam's")
  all_axes[0].set_ylabel("share of runs below")
  place: Any = "outside right"  # which the stubs of Matplotlib lack
  figure.legend(*all_axes[0].get_legend_handles_labels(), loc=place, fontsize=7)
  return figure


_COLOURS = (curves.BLACK, curves.VERMILLION, curves.BLUE, curves.GREEN, curves.PURPLE)
_STYLES = [
  {"color": colour, "linestyle": dashes, "linewidth": 1.2}
  for dashes in ("-", "--", ":", "-.")
  for colour in (*_COLOURS, curves.ORANGE, curves.SKY)
]
_SCORE_HEADER = (
  *("optimizer", "loss", "speed-up", "speed-up over tuned Adam", "tasks", "won", "lost"),
  *("lost to tuned Adam", "held-out better", "worst", "diverged"),
)


def _score_rows(results: comparison.Results, split: str, horizon: int) -> list[list[str]]:
  rows = []
  for name in results:
    found = comparison.of_split(results.against(name, comparison.DEFAULT), split, horizon)
    if not found:
      continue
    score = comparison.score(found)
    bar = comparison.of_split(results.against(name, summary.TUNED), split, horizon)
    tuned = scores.bootstrap([c.speed_ups for c in bar]) if bar else None
    worst, ratio = score.worst
    rows.append(
      (
        score.log_ratio.value,
        [
          name,
          _ratio(score.log_ratio),
          _estimate(score.speed_up),
          _estimate(tuned) if tuned else "",
          *(str(number) for number in (score.num_tasks, score.won, score.lost)),
          str(sum(scores.lost(c.log_ratios) for c in bar)) if bar else "",
          str(score.generalizes),
          f"{worst} {math.exp(ratio):.2g}",
          f"{100 * score.diverged:.0f} %" if score.diverged else "",
        ],
      )
    )
  return [row for _, row in sorted(rows)]


def _against_all(results: comparison.Results) -> str:
  """The ratios of losses of `GENERAL` to each of the others, on held-out families."""
  rows = []
  for name in results:
    cells = []
    for horizon in protocol.HORIZONS:
      found = comparison.of_split(results.against(GENERAL, name), "held-out", horizon)
      ratios = [c.log_ratios for c in found]
      lost = sum(map(scores.lost, ratios))
      cells += [_ratio(scores.bootstrap(ratios)), f"{lost} of {len(found)}"] if found else ["", ""]
    if name != GENERAL and any(cells):
      rows.append([name, *cells])
  header = ["other", *(x for h in protocol.HORIZONS for x in (f"{h:,} steps", "lost"))]
  text = (
    "What `LearnedOptimizer()` takes, on held-out families: its final loss over that of the other,"
    " below 1 is better, and on how many tasks it lost.\n\n"
  )
  return text + (_table(header, rows) if rows else "Not measured yet.\n")


def _odd(results: comparison.Results) -> list[str]:
  """The ratios of losses of odd parts to the optimizers that they are of."""
  rows = []
  for name in (n for n in results if n.endswith("@odd")):
    found = results.against(name, name.removesuffix("@odd"))
    for horizon in protocol.HORIZONS:
      for split in comparison.SPLITS:
        if own := comparison.of_split(found, split, horizon):
          ratio = _ratio(scores.bootstrap([c.log_ratios for c in own]))
          ahead = sum(c.log_ratios.mean() < 0 for c in own)
          rows.append([name, split, f"{horizon:,}", ratio, f"{ahead} of {len(own)}"])
  text = (
    "Final loss of the odd part of a rule (`odd=True`, docs/keras.md) over that of the rule as it"
    " was trained, and on how many tasks it is lower, in the mean of the seeds that both have.\n\n"
  )
  header = ["optimizer", "families", "steps", "loss", "ahead"]
  return ["\n## Odd parts\n", text, _table(header, rows)] if rows else []


def _families(results: comparison.Results) -> str:
  """The geometric mean of the losses over default Adam's, by family, at 1,000 steps."""
  families = [family for family in FAMILIES if family != PUBLISHED]
  rows = []
  for name in results:
    found = results.against(name, comparison.DEFAULT)
    means = [_family_mean(found, family) for family in families]
    if any(mean is not None for mean in means):
      rows.append((name, means))
  best = [
    min((x for _, m in rows if (x := m[k]) is not None), default=None) for k in range(len(families))
  ]
  lines = [[name, *(_marked(mean, low) for mean, low in zip(means, best))] for name, means in rows]
  text = (
    f"Final loss after {FIRST_HORIZON:,} steps over default Adam's, geometric mean over the tasks"
    " of a family, the best in bold. The first three families may be trained on.\n\n"
  )
  return text + _table(["optimizer", *(f.replace("_", " ") for f in families)], lines)


def _family_mean(found, family: str) -> float | None:
  ratios = [
    c.log_ratios.mean()
    for c in found
    if c.row["family"] == family and c.row["horizon"] == FIRST_HORIZON
  ]
  return float(np.mean(ratios)) if ratios else None


def _costs(results: comparison.Results) -> str:
  """Milliseconds of one core over default Adam's, and bytes of state a parameter: medians."""
  rows = []
  for name, document_ in results.items():
    found = results.against(name, comparison.DEFAULT)
    adam = {(r["task"], r["horizon"]): r["ms_per_step"] for r in results["Adam"]["rows"]}
    times = [(c.row["ms_per_step"], adam[c.row["task"], c.row["horizon"]]) for c in found]
    times = [mine / theirs for mine, theirs in times if mine and theirs]
    sizes = [row["state_bytes"] / row["parameters"] for row in document_["rows"]]
    if times:
      rows.append([name, f"{np.median(times):.2g}", f"{np.median(sizes):.0f}"])
  text = (
    "A whole step of training, in units of default Adam's, and the optimizer's state: medians. The"
    " runs were made at different times, beside others: factors of three are noise. Measured in"
    " turn, `general` takes 1.5 times Adam's step: benchmarks/training_steps.json.\n\n"
  )
  return text + _table(["optimizer", "time of a step", "bytes a parameter"], rows)


def _published(results) -> str:
  """The score of others: how many of the published baselines' steps a run of 10,000 is worth."""
  names = [name for name in results if summary.published(results[name])]
  by_name = {
    name: {row["task"]: comparison.published_score(row) for row in summary.published(results[name])}
    for name in names
  }
  shown = [t.name for t in tasks.TASKS.values() if any(t.name in s for s in by_name.values())]
  rows = [
    [task, *(f"{by_name[n][task]:.2g}" if task in by_name[n] else "" for n in names)]
    for task in shown
  ]
  text = (
    "Twelve problems of google/learned_optimization, scored as there: the steps that the best of 60"
    " tuned configurations needs to the loss after 10,000 steps, divided by 10,000. 1 is as good as"
    " the best in hindsight, at most 10. Celo was trained on these data.\n\n"
  )
  planned = (name for name, t in tasks.TASKS.items() if t.family == PUBLISHED)
  missing = [name for name in planned if name not in (*shown, *protocol.PUBLISHED_CUT)]
  text += _table(["problem", *names], rows) if rows else ""
  return text + (f"\nNot measured yet: {', '.join(missing)}.\n" if missing else "")


def _tasks(results) -> str:
  adam = {(row["task"], row["horizon"]): row for row in results[comparison.DEFAULT]["rows"]}
  tuned = results.get(summary.TUNED, {"rows": []})["rows"]
  rates = {(row["task"], row["horizon"]): row["rate"] for row in tuned}
  rows = []
  for task in tasks.TASKS.values():
    row = adam.get((task.name, FIRST_HORIZON))
    if row is not None:
      final = [value for value in row["final"] if value is not None]
      rate = [rates.get((task.name, h), "") for h in protocol.HORIZONS]
      about = [task.family.replace("_", " "), task.about, f"{row['parameters']:,}"]
      cost = f"{row['ms_per_step']:.2g}" if row["ms_per_step"] else ""
      rows.append(
        [task.name, *about, cost, f"{np.mean(final):.3g}" if final else "", ", ".join(rate)]
      )
  header = ["task", "family", "model", "parameters", "ms", "Adam's loss", "tuned rates"]
  text = (
    "Milliseconds of one core a step and the final loss after 1,000 steps, both with default Adam;"
    " the best rates after 100, 1,000 and 10,000 steps.\n\n"
  )
  return text + _table(header, rows)


def _failures(results) -> list[str]:
  lines = [
    f"- {name}, {task}: {reason}\n"
    for name, document_ in results.items()
    for task, reason in document_["failures"].items()
  ]
  return ["\n## What could not be run\n", *lines] if lines else []


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  lines = [header, ["---"] * len(header), *rows]
  return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _ratio(estimate: scores.Estimate) -> str:
  value, low, high = (math.exp(number) for number in estimate)
  return f"{value:.3g} ({low:.3g}–{high:.3g})"


def _estimate(estimate: scores.Estimate) -> str:
  return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"


def _marked(mean: float | None, best: float | None) -> str:
  if mean is None:
    return ""
  text = f"{math.exp(mean):.2f}"
  return f"**{text}**" if mean == best else text
