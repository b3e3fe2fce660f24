"""Tables of time and memory."""

from collections.abc import Sequence
import os
from typing import Any

from benchmarks.documentation.markdown import pm
from benchmarks.documentation.markdown import rows_of
from benchmarks.documentation.markdown import seconds
from benchmarks.documentation.markdown import table
from l2l_tf.storage import files


def against_rivals() -> str:
  """One meta-step against its rivals."""
  rows = []
  for row in rows_of("against_rivals"):
    cells = [f"`{row['contestant']}`", str(row["threads"]), seconds(row, 3)]
    cells += [f"{row[key]:.3g}" for key in ("over_fastest_rival", "over_floor")]
    rows.append([*cells, f"{row['compile_s']:.1f}", f"{row['peak_mib']:.0f}"])
  heads = ("threads", "seconds (10 %, 90 %)", "of the fastest rival", "of the floor")
  return table(["", *heads, "trace, compile", "peak MiB"], rows)


def forward_step() -> str:
  """A forward step against its floor."""
  rows = []
  for row in rows_of("forward_step"):
    milliseconds = {key: 1000 * row[key] for key in ("median_s", "low_s", "high_s")}
    cells = [f"`{row['what']}`", str(row["threads"]), seconds(milliseconds, 1)]
    rows.append([*cells, f"{row['over_floor']:.2f}"])
  return table(["", "threads", "milliseconds (10 %, 90 %)", "of the floor"], rows)


def run_stablehlo() -> str:
  """Exported programs on a GPU, beside JAX's own."""
  rows = []
  for row in rows_of("run_stablehlo"):
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
    r for r in rows_of("flat_memory") if r["meta_steps"] in (50, 100, 200, 400, 600, 800, 1000)
  ]
  cells = [[f"{row[key]:.0f}" for key in row] for row in shown]
  return table(["meta-steps", "resident MiB", "peak MiB"], cells)


def coordinates() -> str:
  """Cost against coordinates."""
  rows = []
  for row in rows_of("coordinates"):
    cells = [row["what"], f"{row['n']:,}", f"{row['ns_a_coordinate']:.3g}"]
    cells += [f"{row['state_mib']:.3g}", f"{row['peak_mib']:.0f}", f"{row['peak_over_state']:.2f}"]
    rows.append(cells)
  heads = ("ns a coordinate and step", "states MiB", "peak MiB", "peak / states")
  return table(["", "n", *heads], rows)


def instances() -> str:
  """B instances in one unroll."""
  rows = []
  for row in rows_of("instances"):
    peak = f"{row['peak_mib']:.0f}".replace("-", "−")
    rows.append([row["what"], str(row["instances"]), f"{row['instance_s']:.3g}", peak])
  return table(["", "B", "seconds an instance", "peak MiB"], rows)


def long_unrolls() -> str:
  """Longer unrolls, plain and in segments."""
  rows = []
  for row in rows_of("long_unrolls"):
    cells = [str(row["unroll_length"]), str(row["segment_length"] or "–"), f"{row['step_s']:.4f}"]
    cells += [f"{row['step_over_first']:.2f}", f"{row['peak_mib']:.0f}"]
    rows.append([*cells, f"{row['peak_over_first']:.2f}"])
  heads: Sequence[str] = ("segments of", "seconds an inner step", "of that of 20", "peak MiB")
  return table(["steps", *heads, "of that of 20"], rows)


def double_backprop() -> str:
  """The linearised meta-loss where f is expensive."""
  rows = []
  for row in rows_of("double_backprop"):
    plain = row["meta_loss"] == "plain"
    time, peak = ("" if plain else f"{row[f'{key}_over_plain']:.2f}" for key in ("time", "peak"))
    cells = [row["problem"], row["meta_loss"], seconds(row, 2), time]
    rows.append([*cells, f"{row['peak_mib']:.0f}", peak])
  heads = ("meta-loss", "seconds (10 %, 90 %)", "of plain", "peak MiB", "of plain")
  return table(["problem", *heads], rows)


def limited_memory() -> str:
  """One step of NTM-L-BFGS."""
  rows = []
  for row in rows_of("limited_memory"):
    time = row["seconds"]["median"] * 1000
    cells = [f"{row['num_coordinates']:,}", str(row["history"]), f"{time:.3g}"]
    rows.append([*cells, f"{row['state_bytes'] / 1e6:.3g}"])
  return table(["n", "history", "ms a step", "state MB"], rows)


def state_dtype() -> str:
  """What hidden states in bfloat16 do to the loss."""
  rows = []
  for row in rows_of("state_dtype"):
    losses = [pm(row[key], 4) for key in ("mean_loss", "final_loss")]
    rows.append([f"`{row['dtype']}`", str(row["bytes"]), *losses])
  return table(["states", "bytes a coordinate", "mean loss", "final loss"], rows)


def keras_cost() -> str:
  """What a step of LearnedOptimizer takes on each backend, beside Adam's."""
  found = {
    (r["tensors"], r["parameters"], r["backend"], r["optimizer"]): r for r in rows_of("keras_cost")
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
  "keras_cost": keras_cost,
  "against_rivals": against_rivals,
  "forward_step": forward_step,
  "run_stablehlo": run_stablehlo,
  "flat_memory": flat_memory,
  "coordinates": coordinates,
  "instances": instances,
  "grid": grid,
  "tuning_ways": tuning_ways,
  "long_unrolls": long_unrolls,
  "double_backprop": double_backprop,
  "limited_memory": limited_memory,
  "state_dtype": state_dtype,
}
