"""Tables of the benchmark, of the first run, of Keras and of time and memory."""

from collections.abc import Sequence
import functools
import math
import os
from typing import Any

from benchmarks.documentation.markdown import pm
from benchmarks.documentation.markdown import ratio
from benchmarks.documentation.markdown import seconds
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


def _rows(name: str) -> list[dict[str, Any]]:
  return files.read_json(os.path.join("benchmarks", f"{name}.json"))["rows"]


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
  found = files.read_json(os.path.join("results", "quick_seeds.json"))["summary"]
  rows = []
  for group, label in GROUPS.items():
    one = found[group]
    cells = [f"{one[f'{k}_median']:.2f} ({one[f'{k}_worst']:.2f})" for k in ("mean", "final")]
    rows.append(
      [label, *cells, "the best rival's of six" if group == "quadratic" else "tuned Adam's"]
    )
  heads = [f"{what}, median (worst)" for what in ("mean loss of steps 1–100", "final loss")]
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


def against_rivals() -> str:
  """One meta-step against its rivals."""
  rows = []
  for row in _rows("against_rivals"):
    cells = [f"`{row['contestant']}`", str(row["threads"]), seconds(row, 3)]
    cells += [f"{row[key]:.3g}" for key in ("over_fastest_rival", "over_floor")]
    rows.append([*cells, f"{row['compile_s']:.1f}", f"{row['peak_mib']:.0f}"])
  heads = ("threads", "seconds (10 %, 90 %)", "of the fastest rival", "of the floor")
  return table(["", *heads, "trace, compile", "peak MiB"], rows)


def forward_step() -> str:
  """A forward step against its floor."""
  rows = []
  for row in _rows("forward_step"):
    milliseconds = {key: 1000 * row[key] for key in ("median_s", "low_s", "high_s")}
    cells = [f"`{row['what']}`", str(row["threads"]), seconds(milliseconds, 1)]
    rows.append([*cells, f"{row['over_floor']:.2f}"])
  return table(["", "threads", "milliseconds (10 %, 90 %)", "of the floor"], rows)


def run_stablehlo() -> str:
  """Exported programs on a GPU, beside JAX's own."""
  rows = []
  for row in _rows("run_stablehlo"):
    milliseconds = {f"{key}_s": 1e3 * row[f"ours_{key}_s"] for key in ("median", "low", "high")}
    limit = max(row["products_s"], row["states_s"])
    cells = [row["program"].replace("_", "-"), f"{row['coordinates']:,}", f"{row['num_tasks']:,}"]
    cells += [_milliseconds(milliseconds), f"{row['ours_median_s'] / row['jax_median_s']:.2f}"]
    cells.append(f"{limit / row['ours_median_s']:.2f}")
    size = (row[f"{who}_temporary_mib"] / 1024 for who in ("ours", "jax"))
    rows.append([*cells, *(f"{x:.1f}" if x >= 0.05 else "" for x in size)])
  heads = ["milliseconds (10 %, 90 %)", "of JAX's own", "limit / time", "GiB", "GiB of JAX's own"]
  return table(["", "coordinates", "B", *heads], rows)


def _milliseconds(found: dict[str, float]) -> str:
  return seconds(found, 2 if found["median_s"] < 10 else 1 if found["median_s"] < 100 else 0)


def flat_memory() -> str:
  """Memory over 1,000 meta-steps."""
  shown = [
    r for r in _rows("flat_memory") if r["meta_steps"] in (50, 100, 200, 400, 600, 800, 1000)
  ]
  cells = [[f"{row[key]:.0f}" for key in row] for row in shown]
  return table(["meta-steps", "resident MiB", "peak MiB"], cells)


def coordinates() -> str:
  """Cost against coordinates."""
  rows = []
  for row in _rows("coordinates"):
    cells = [row["what"], f"{row['n']:,}", f"{row['ns_a_coordinate']:.3g}"]
    cells += [f"{row['state_mib']:.3g}", f"{row['peak_mib']:.0f}", f"{row['peak_over_state']:.2f}"]
    rows.append(cells)
  heads = ("ns a coordinate and step", "states MiB", "peak MiB", "peak / states")
  return table(["", "n", *heads], rows)


def instances() -> str:
  """B instances in one unroll."""
  rows = []
  for row in _rows("instances"):
    peak = f"{row['peak_mib']:.0f}".replace("-", "−")
    rows.append([row["what"], str(row["instances"]), f"{row['instance_s']:.3g}", peak])
  return table(["", "B", "seconds an instance", "peak MiB"], rows)


def long_unrolls() -> str:
  """Longer unrolls, plain and in segments."""
  rows = []
  for row in _rows("long_unrolls"):
    cells = [str(row["unroll_length"]), str(row["segment_length"] or "–"), f"{row['step_s']:.4f}"]
    cells += [f"{row['step_over_first']:.2f}", f"{row['peak_mib']:.0f}"]
    rows.append([*cells, f"{row['peak_over_first']:.2f}"])
  heads: Sequence[str] = ("segments of", "seconds an inner step", "of that of 20", "peak MiB")
  return table(["steps", *heads, "of that of 20"], rows)


def double_backprop() -> str:
  """The linearised meta-loss where f is expensive."""
  rows = []
  for row in _rows("double_backprop"):
    plain = row["meta_loss"] == "plain"
    time, peak = ("" if plain else f"{row[f'{key}_over_plain']:.2f}" for key in ("time", "peak"))
    cells = [row["problem"], row["meta_loss"], seconds(row, 2), time]
    rows.append([*cells, f"{row['peak_mib']:.0f}", peak])
  heads = ("meta-loss", "seconds (10 %, 90 %)", "of plain", "peak MiB", "of plain")
  return table(["problem", *heads], rows)


def limited_memory() -> str:
  """One step of NTM-L-BFGS."""
  rows = []
  for row in _rows("limited_memory"):
    time = row["seconds"]["median"] * 1000
    cells = [f"{row['num_coordinates']:,}", str(row["history"]), f"{time:.3g}"]
    rows.append([*cells, f"{row['state_bytes'] / 1e6:.3g}"])
  return table(["n", "history", "ms a step", "state MB"], rows)


def state_dtype() -> str:
  """What hidden states in bfloat16 do to the loss."""
  rows = []
  for row in _rows("state_dtype"):
    losses = [pm(row[key], 4) for key in ("mean_loss", "final_loss")]
    rows.append([f"`{row['dtype']}`", str(row["bytes"]), *losses])
  return table(["states", "bytes a coordinate", "mean loss", "final loss"], rows)


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


def keras_cost() -> str:
  """What a step of LearnedOptimizer takes on each backend, beside Adam's."""
  found = {
    (r["tensors"], r["parameters"], r["backend"], r["optimizer"]): r for r in _rows("keras_cost")
  }
  sizes = list(dict.fromkeys(key[:2] for key in found))
  names = list(dict.fromkeys(key[3] for key in found))
  rows = []
  for tensors, parameters in sizes:
    label = f"{parameters:,}" + (f" in {tensors} tensors" if tensors > 1 else "")
    for name in names:
      cells = []
      for backend in ("tensorflow", "jax", "torch"):
        row, adam = (found.get((tensors, parameters, backend, one)) for one in (name, "adam"))
        cells.append(_cost(row, adam) if row else "")
      size = found[tensors, parameters, "tensorflow", name]["bytes_a_parameter"]
      shown = "Adam" if name == "adam" else f"`{name}`"
      first = (found.get((tensors, parameters, one, name)) for one in ("tensorflow", "jax"))
      seconds = " / ".join(f"{row['first_s']:.2g}" for row in first if row)
      rows.append([label, shown, *cells, seconds, f"{size:.0f}"])
      label = ""
  heads = ["TensorFlow, ms", "JAX, ms", "PyTorch, ms"]
  heads += ["first step on TensorFlow / JAX, s", "bytes a parameter"]
  return table(["parameters", "optimizer", *heads], rows)


def _cost(row: dict[str, Any], adam: dict[str, Any]) -> str:
  """Milliseconds, and how many times Adam's."""
  text = " ".join(f"{1e3 * row[f'{key}_s']:.2g}" for key in ("median", "low", "high"))
  middle, low, high = (f"{float(x):,g}" for x in text.split())
  times = row["median_s"] / adam["median_s"]
  return f"{middle} ({low}, {high})" + (f", {times:.1f} × Adam" if row is not adam else "")


GRIDS = {"grid": "MNIST", "grid_cifar10": "CIFAR-10", "grid_neural_art": "neural art"}


def grid() -> str:
  """The time of tuning all rivals beside that of their whole grids, and what it picks."""
  lines = []
  for name, title in GRIDS.items():
    document = files.read_json(os.path.join("benchmarks", f"{name}.json"))
    rows, tuning = document["rows"], document["tuning_seconds"]
    whole = sum(row["grid_seconds"] for row in rows)
    same = sum(row["tuned"] == row["grid"] for row in rows)
    steps = f"{document['tuning_runs']} × {document['num_steps']} steps"
    share = f"{document['tuning_over_grid']:.2f}"
    lines.append(
      [title, steps, f"{tuning:.0f} s", f"{whole:.0f} s", share, f"{same} of {len(rows)}"]
    )
  return table(["", "for each rate", "tuning", "whole grid", "ratio", "same rate"], lines)


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


def tuning_ways() -> str:
  """How much each way to find a rate takes, and what it misses."""
  found = files.read_json(os.path.join("benchmarks", "tuning_ways.json"))["rows"]
  rows = []
  for way in dict.fromkeys(row["way"] for row in found):
    some = [row for row in found if row["way"] == way]
    share = sum(row["share"] for row in some) / len(some)
    missed = sum(row["loss_over_best"] > 1 for row in some)
    worst = max(row["loss_over_best"] for row in some)
    rows.append([way, f"{share:.2f}", f"{missed} of {len(some)}", f"{worst:.2f}"])
  return table(["", "of the steps", "missed the best rate", "worst final loss over the best"], rows)


TABLES = {
  "held_out": held_out,
  "limits": limits,
  "reaches": reaches,
  "quick_seeds": quick_seeds,
  "keras_experiments": keras_experiments,
  "keras_cost": keras_cost,
  "against_rivals": against_rivals,
  "forward_step": forward_step,
  "run_stablehlo": run_stablehlo,
  "flat_memory": flat_memory,
  "coordinates": coordinates,
  "instances": instances,
  "grid": grid,
  "tuning_ways": tuning_ways,
  "wide_layers": wide_layers,
  "long_unrolls": long_unrolls,
  "double_backprop": double_backprop,
  "limited_memory": limited_memory,
  "state_dtype": state_dtype,
  "ablation": ablation,
  "general_lstm": general_lstm,
}
