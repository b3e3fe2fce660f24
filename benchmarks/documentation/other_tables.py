"""Tables of the benchmark, of the first run and of Keras."""

import functools
import glob
import math
import os
from typing import Any

from benchmarks.documentation.markdown import pm
from benchmarks.documentation.markdown import ratio
from benchmarks.documentation.markdown import table
from benchmarks.rules import PLAIN
from l2l_tf.storage import files
from l2l_tf.zoo import report
from l2l_tf.zoo import summary

AGAINST = ("tuned Adam", "Adam", "Celo", "CeloAdam", "Prodigy", "NAdamWCosine", "MoMoAdam", "Muon")
LSTM = "general_lstm"  # a folder of results
GROUPS = {
  "digits": "ten seeds on the 5,000 bundled digits",
  "digits_variants": "the first of them on one core, on two, with oneDNN's operations on and off",
  "mnist": "three seeds on all of MNIST",
  "quadratic": "five seeds on quadratics",
  "cifar10": "three seeds on CIFAR-10",
  "neural_art": "three seeds on neural art",
}
KERAS_TASKS = {
  "mnist": "MNIST, 20 sigmoid units: what it was trained on",
  "mnist_relu": "MNIST, 20 ReLU units",
  "mnist_convnet": "MNIST, two ReLU convolutions",
  "breast_cancer": "breast cancer (569 rows), 20 sigmoid units",
  "breast_cancer_relu": "breast cancer, 20 ReLU units",
  "diabetes": "diabetes (442 rows, squared error), 20 sigmoid units",
  "diabetes_relu": "diabetes, 20 ReLU units",
}


@functools.cache
def _zoo_page(general: str | None = None) -> str:
  """What docs/zoo.md is, from the results; with those of another file for `general`."""
  documents = summary.read_all("results")
  if general:
    documents["general"] = summary.read(os.path.join("results", general))
  return report.document(documents)


def held_out() -> str:
  """`general` against others on held-out families, the lines of docs/zoo.md."""
  page = _zoo_page()
  lines = page.split("## general against each of the others\n")[1].split("\n## ")[0].splitlines()
  found = {line.split(" | ")[0].removeprefix("| "): line for line in lines if line[:1] == "|"}
  return "\n".join([found["other"], found["---"], *(found[name] for name in AGAINST)]) + "\n"


def limits() -> str:
  """How fast `general` is on held-out families beside tuned Adam, and what a step takes: a list."""
  page = _zoo_page()
  lines = []
  for horizon in ("100", "1,000", "10,000"):
    row = _cells(page, f"## Held-out families, {horizon} steps", "general")
    lines.append(
      f"- After {horizon} steps tuned Adam needs {row[2]} times as many steps to the same loss. It"
      f" ends lower on {row[6]} of {row[3]} tasks."
    )
  times = files.read_json(os.path.join("benchmarks", "training_steps.json"))["median_ratio"]
  lines.append(
    f"- A step of training takes {times:.1f} times as long as with Adam, on these small models."
  )
  return "\n".join(lines) + "\n"


def reaches() -> str:
  """`general` on held-out families against what was wanted."""
  page = _zoo_page()
  wanted = {
    "speed-up over tuned Adam": ("1.5", "1.3", "1.0"),
    "speed-up over default Adam (tuned Adam's)": ("above", "above", "above"),
    "tasks lost to tuned Adam": ("25 %", "30 %", "45 %"),
    "tasks lost to default Adam": ("5 %", "5 %", "5 %"),
    "final loss over that of NAdamW with a cosine": ("", "0.95", "1.0"),
    "final loss over that of Celo, which knows the horizon": ("ahead", "ahead", ""),
    "held-out metric better than default Adam's (tuned Adam's count)": ("", "", ""),
    "diverged": ("none", "none", "none"),
  }
  columns = []
  for k, horizon in enumerate(("100", "1,000", "10,000")):
    title = f"## Held-out families, {horizon} steps"
    own, tuned = (_cells(page, title, name) for name in ("general", "tuned Adam"))
    others = [
      _cells(page, "## general against each of the others", name)[2 * k]
      for name in ("NAdamWCosine", "Celo")
    ]
    columns.append(
      [
        own[2],
        f"{own[1].split(' ')[0]} ({tuned[1].split(' ')[0]})",
        *(f"{own[column]} of {own[3]}" for column in (6, 5)),
        *others,
        f"{own[7]} ({tuned[7]}) of {own[3]}",
        own[9].strip() or "none",
      ]
    )
  rows = [
    [label, *(cell for k in range(3) for cell in (columns[k][row], goals[k]))]
    for row, (label, goals) in enumerate(wanted.items())
  ]
  heads = [head for steps in ("100 steps", "1,000", "10,000") for head in (steps, "wanted")]
  return table(["", *heads], rows)


def _cells(page: str, title: str, name: str) -> list[str]:
  """The cells behind the name in a row of a table of docs/zoo.md."""
  below = page.split(f"{title}\n")[1].split("\n## ")[0].splitlines()
  (line,) = (line for line in below if line.startswith(f"| {name} |"))
  return line.split(" | ")[1:-1] + [line.split(" | ")[-1].removesuffix(" |")]


def quick_seeds() -> str:
  """What `make train` promises."""
  found = {}
  for path in sorted(glob.glob(os.path.join("results", "quick_seeds*.json"))):
    found |= files.read_json(path)["summary"]
  rows = []
  for group, label in GROUPS.items():
    one = found[group]
    cells = [f"{one[f'{k}_median']:.2f} ({one[f'{k}_worst']:.2f})" for k in ("mean", "final")]
    rows.append(
      [label, *cells, "the best rival's of six" if group == "quadratic" else "tuned Adam's"]
    )
  heads = [f"{what}, median (worst)" for what in ("mean loss of all steps", "final loss")]
  return table(["trained anew", *heads, "of"], rows)


def keras_experiments() -> str:
  """`mnist_lstm` in `fit` beside Adam."""
  tasks = files.read_json(os.path.join("benchmarks", "keras_experiments.json"))["tasks"]
  rows = []
  for name, title in KERAS_TASKS.items():
    for number, (optimizer, found) in enumerate(tasks[name]["optimizers"].items()):
      cells = [pm(found[steps]) for steps in ("100", "200")]
      rows.append(["" if number else title, f"`{optimizer}`", *cells])
  return table(["training loss after", "", "100 batches", "200 batches"], rows)


def ablation() -> str:
  """What each part of the general rule is worth."""
  rows: dict[str, dict[tuple[int, str], dict[str, Any]]] = {}
  document = files.read_json(os.path.join("results", "general_ablation.json"))
  for row in document["rows"]:
    rows.setdefault(row["adds"], {})[row["seed"], row["tasks"]] = row
  lines = []
  for adds, found in rows.items():
    held, trained = (
      [found[seed, tasks] for seed in range(document["phis"])] for tasks in ("held-out", "training")
    )
    cells = [
      [row["speed_up_over_Adam"] for row in held],
      [row["speed_up_over_tuned_Adam"] for row in held],
      [math.exp(row["log_ratio_to_tuned_Adam"]) for row in held],
      [row["speed_up_over_tuned_Adam"] for row in trained],
    ]
    texts = [", ".join(f"{value:.2f}" for value in values) for values in cells]
    lines.append([f"{'+ ' if lines else ''}{adds}", *texts])
  shipped = {
    "`general` without orthogonal updates, trained for long": _zoo_page(PLAIN),
    "`general`: + orthogonal updates of small matrices": _zoo_page(),
  }
  for label, page in shipped.items():
    cells = [
      _cells(page, f"## {families}, 100 steps", "general")
      for families in ("Held-out families", "Families to train on")
    ]
    held, trained = ([cell.split(" ")[0] for cell in row] for row in cells)
    over = _cells(page, "## general against each of the others", "tuned Adam")[0].split(" ")[0]
    lines.append([label, f"{float(held[1]):.2f}", held[2], f"{float(over):.2f}", trained[2]])
  heads = ("speed-up over default Adam, held-out", "over tuned Adam, held-out")
  heads += ("final loss of tuned Adam's, held-out", "speed-up over tuned Adam, training families")
  return table(["", *heads], lines)


def general_lstm() -> str:
  """The paper's LSTM trained on the general rule's problems, beside that rule and the start."""
  documents = summary.read_all("results")
  documents[LSTM] = summary.read(os.path.join("results", LSTM, "zoo.json")) | {"optimizer": LSTM}
  page = report.document(documents)
  rows = []
  labels = {"general": "`general`, whose rule is another", "tuned Adam": "tuned Adam"}
  for name in ("general", "tuned Adam", "cifar10_lstm", LSTM):
    cells = []
    for families in ("Held-out families", "Families to train on"):
      for horizon in ("100", "1,000"):
        loss, speed_up = _cells(page, f"## {families}, {horizon} steps", name)[:2]
        cells.append(f"{loss.split(' ')[0]}, {speed_up.split(' ')[0]}")
    rows.append([labels.get(name, f"`{name}`"), *cells])
  heads = ["held-out, 100 steps", "1,000 steps", "to train on, 100 steps", "1,000 steps"]
  return table(["loss over default Adam's, speed-up", *heads], rows)


def wide_layers() -> str:
  """`general` and Adam on wide layers: losses, and the time of a step."""
  document = files.read_json(os.path.join("benchmarks", "wide_layers.json"))
  lines = []
  for row in document["rows"]:
    over = {key: row[f"over_tuned_adam_{key}"] for key in ("ratio", "low", "high")}
    losses = [f"{row[name]:.3f}" for name in ("general", "adam", "tuned_adam")]
    step = f"{1e3 * row['step_seconds']:.0f} and {1e3 * row['adam_step_seconds']:.0f} ms"
    name = f"{row['width']:,} units, {row['weights']:,} weights"
    lines.append([name, *losses, f"{row['rate']:.2g}", ratio(over, 2), step])
  header = ["", "`general`", "Adam", "tuned Adam", "its rate", "`general` / tuned Adam"]
  return table([*header, "a step of `general` and of Adam"], lines)


TABLES = {
  "held_out": held_out,
  "limits": limits,
  "reaches": reaches,
  "quick_seeds": quick_seeds,
  "keras_experiments": keras_experiments,
  "wide_layers": wide_layers,
  "ablation": ablation,
  "general_lstm": general_lstm,
}
