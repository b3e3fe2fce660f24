"""Numbers that stand in sentences are those of the results."""

import json

import numpy as np
import pytest

from benchmarks import tuning_ways
from l2l_tf.evaluation import results as results_lib
from tests import sources

ROOT = sources.ROOT


def read(name):
  return results_lib.read(str(ROOT / "results" / f"{name}.json"))


def rows(name):
  return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())["rows"]


def two_layers():
  return f"Rprop leads until step {results_lib.leads_from(read('mnist_2x20'), 'mnist_lstm') - 1}."


def limited_memory():
  found = results_lib.ratio_of(read("quadratic"), "quadratic_ntm_lbfgs", "quadratic_ntm_bfgs")
  return "ratio {:.3f}, {:.3f}–{:.3f}".format(*found)


def quick_seeds():
  summary = json.loads((ROOT / "results" / "quick_seeds.json").read_text())["summary"]
  return f"[{summary['digits']['final_median']:.2f} times tuned Adam's]"


def quick_presets():
  """How each training of the quick presets of CIFAR-10 and neural art ends."""
  said = []
  for name in ("cifar10", "neural_art"):
    cases = json.loads((ROOT / "results" / f"quick_seeds_{name}.json").read_text())["cases"]
    best, middle, worst = sorted(case["final_ratio"] for case in cases.values())
    said.append(f"{best:.3f}, {middle:.3f} and {worst:.3f} times")
    assert max(case["final_interval"][1] for case in cases.values()) < 1
  means = sorted(case["mean_ratio"] for case in cases.values())
  return [*said, "have {:.2f}, {:.2f} and {:.2f} times tuned Adam's".format(*means)]


def early_lead():
  """The largest lead over Adam in the first photographs, and at which step."""
  entries = read("neural_art_64")["optimizers"]
  curves = (entries[name]["mean"] for name in ("neural_art_lstm", "adam"))
  leads = [1 - x / y for x, y in zip(*curves)]
  return f"{100 * max(leads):.0f} % of Adam's loss at step {leads.index(max(leads))} of the first"


def photographs():
  """All of the test, and some larger ones."""
  (many,), (large,), (largest,) = (
    rows(f"neural_art_{name}") for name in ("photographs", "256", "512")
  )
  ratio = "{ratio:.3f} ({low:.3f}–{high:.3f}) of Adam's loss"
  return (
    f"in Hokusai's style, it ends at {ratio.format(**many)}, lower on {100 * many['wins']:.0f}",
    f"At 256 × 256 it ends at {ratio.format(**large)} on four photographs",
    "At 512 × 512 it ends at {ratio:.3f} ({low:.3f}–{high:.3f}) of it on three".format(**largest),
  )


def peak():
  (row,) = (r for r in rows("coordinates") if r["what"] == "inference" and r["n"] == 10**7)
  return f"At 10⁷ the peak is {row['peak_over_state']:.2f} × the states"


def segments():
  wanted = (80, 5)
  (row,) = (r for r in rows("long_unrolls") if (r["unroll_length"], r["segment_length"]) == wanted)
  peak_, time = row["peak_over_first"], row["step_over_first"]
  return f"Segments of 5 take {peak_:.2f} of the peak and {time:.2f} × the time"


def instances():
  times = [row["instance_s"] for row in rows("instances") if row["what"].startswith("quadratics")]
  return f"it falls to a {times[0] / times[-1]:.0f}rd"


def race(name="against_rivals"):
  return {(row["contestant"], row["threads"]): row for row in rows(name)}


def both(found, contestant, key):
  """A number of a contestant on two threads, and on one."""
  one, two = (f"{found[contestant, threads][key]:.2f}" for threads in (1, 2))
  return f"{two} on two threads and {one} on one"


def meta_step():
  found = race()
  peaks = [
    found["ours_compiled", n]["peak_mib"] / found["per_parameter", n]["peak_mib"] for n in (2, 1)
  ]
  sampled = {f"{found['ours_sampled', n]['over_fastest_rival']:.2f}" for n in (2, 1)}
  assert max(peaks) <= 0.6 and found["ours_compiled", 1]["over_fastest_rival"] <= 0.5
  return (
    f"all but the second are reached: {both(found, 'ours_compiled', 'over_fastest_rival')}"
    f" of the fastest rival, {peaks[0]:.2f} and {peaks[1]:.2f} of its memory",
    f"short of 0.5: {both(found, 'ours', 'over_fastest_rival')}",
    f"missed by both: {both(found, 'ours_compiled', 'over_floor')} with the compiled cell,"
    f" {both(found, 'ours', 'over_floor')} without",
    f"takes {sampled.pop()} of the fastest rival's time on both",
  )


def other_machines():
  """Before there was a compiled cell."""
  slower = race("against_rivals_slower_machine")
  two, one = (slower["ours", n]["median_s"] / race()["ours", n]["median_s"] for n in (2, 1))
  older = {(r["what"], r["threads"]): r for r in rows("forward_step_slower_machine")}
  one_step, two_step = (f"{older['unroll', n]['over_floor']:.2f}" for n in (1, 2))
  return (f"takes {two:.1f} and {one:.1f} times as long", f"at {one_step} and {two_step}") + tuple(
    f"{both(found, 'ours', 'over_fastest_rival')} of the fastest rival,"
    f" {both(found, 'ours', 'over_floor')} of the floor (`benchmarks/{name}.json`)"
    for name in ("against_rivals_slower_machine", "against_rivals_faster_machine")
    for found in [race(name)]
  )


def forward_step():
  found = {(r["what"], r["threads"]): r for r in rows("forward_step")}
  one, kernel, cells, bound = (
    " and ".join(f"{found[what, n]['over_floor']:.2f}" for n in (1, 2))
    for what in ("unroll", "kernel_unroll", "kernel_cells", "products_and_tanh")
  )
  return (
    f"Missed: {one} on one thread and on two. The cell in C++ takes the unroll to {kernel}.",
    f"The layers themselves, {cells}, are then below",
    f"alone take in TensorFlow, {bound}",
  )


def compiled_cell():
  """What it gains, in time and memory, on two threads and on one."""
  found = race()
  plain, ours = ([found[name, n] for n in (2, 1)] for name in ("ours", "ours_compiled"))
  times = [b["median_s"] / a["median_s"] for a, b in zip(plain, ours)]
  peaks = [b["peak_mib"] / a["peak_mib"] for a, b in zip(plain, ours)]
  return (
    f"{min(times):.2f} to {max(times):.2f} of its time and {min(peaks):.2f} to {max(peaks):.2f} of"
    " its memory"
  )


def on_a_gpu():
  own = {"meta_step": {}, "evolution": {}}
  limit = {"meta_step": {}, "evolution": {}}
  for row in rows("run_stablehlo"):
    size = row["coordinates"], row["num_tasks"]
    own[row["program"]][size] = row["ours_median_s"] / row["jax_median_s"]
    limit[row["program"]][size] = row["states_s"] / row["ours_median_s"]
  steps = own["meta_step"].values()
  mnist = [ratio for (n, _), ratio in own["evolution"].items() if n == 15910]
  few, many = (own["evolution"][550, b] for b in (256, 4096))
  large, small = (limit["evolution"][size] for size in ((15910, 4096), (550, 4096)))
  return (
    f"own: {min(steps):.2f} to {max(steps):.2f} of its time",
    f"too: {min(mnist):.2f} to {max(mnist):.2f}",
    f"it takes {few:.2f} and {many:.2f} times as long",
    f"at {large:.2f} of it on MNIST, at {small:.2f} on small networks",
  )


def same_rates():
  """Of all committed whole grids."""
  narrowed = "quadratic", "half_orthogonal", "step_control", "mnist_phis"  # not of all 30
  ratios = []
  for path in sorted((ROOT / "results").glob("*.json")):
    for entry in json.loads(path.read_text()).get("optimizers", {}).values():
      losses = [np.inf if x is None else x for x in entry.get("tuning_final_losses", [])]
      if losses and not path.name.startswith(narrowed):
        picked, _ = tuning_ways.coarse_to_fine(np.array(losses))
        ratios.append(losses[picked] / min(losses))
  worse = sorted(ratio for ratio in ratios if ratio > 1)
  assert len(worse) == 2
  return (
    f"{len(ratios)} grids of a rival. From these it picks the same rate for all but two, which end"
    f" {worse[0]:.2f} and {worse[1]:.2f} times as high"
  )


def grid():
  found = json.loads((ROOT / "benchmarks" / "grid_faster_machine.json").read_text())
  tuning, whole = found["tuning_seconds"], sum(r["grid_seconds"] for r in found["rows"])
  return f"takes {tuning:.0f} s of {whole:.0f} s on the digits, {found['tuning_over_grid']:.2f} ("


def mnist_phis():
  """How far apart they end, on networks of the training and on others."""
  names = "mnist_lstm", "mnist_lstm_1", "mnist_lstm_2"
  over, higher = {}, []
  for setting in ("100", "200", "40", "100_test", "2x20", "relu"):
    results = read(f"mnist_phis_{setting}")
    over[setting] = [results_lib.ratio_of(results, n, results["best_rival"])[0] for n in names]
    higher.append(100 * (over[setting][1] / over[setting][0] - 1))
  layers, relu = over["2x20"], over["relu"]
  assert max(relu) == relu[0] and relu[0] > 1 > max(layers)
  return (
    f"the first ends {min(higher[:4]):.0f} to {max(higher[:4]):.0f} % higher",
    f"{min(layers):.2f} to {max(layers):.2f} of Rprop's loss, and {min(relu):.2f} to",
    f"{max(relu):.2f} of Adam's",
  )


def successive_halving():
  """Its worst miss, and where."""
  halving = [row for row in rows("tuning_ways") if row["way"] == "1/8 of the steps, 10"]
  worst = max(halving, key=lambda row: row["loss_over_best"])
  assert (worst["setting"], worst["rival"]) == ("two layers", "sgd")
  return f"a rate for SGD that ends {worst['loss_over_best']:.2f} times as high"


def linearised():
  found = {r["problem"]: r for r in rows("double_backprop") if r["meta_loss"] == "linearised"}
  return tuple(
    f"{row['time_over_plain']:.2f} and {row['peak_over_plain']:.2f}" for row in found.values()
  )


FACTS = {
  two_layers: "docs/reached.md",
  limited_memory: "docs/ntm_bfgs.md",
  quick_seeds: "README.md",
  quick_presets: "docs/training.md",
  early_lead: "docs/neural_art.md",
  photographs: "docs/neural_art.md",
  peak: "docs/performance.md",
  segments: "docs/performance.md",
  instances: "docs/performance.md",
  meta_step: "docs/performance.md",
  other_machines: "docs/performance.md",
  compiled_cell: "CHANGELOG.md",
  forward_step: "docs/performance.md",
  on_a_gpu: "docs/performance.md",
  linearised: "docs/performance.md",
  grid: "docs/performance.md",
  mnist_phis: "docs/reached.md",
  same_rates: "docs/performance.md",
  successive_halving: "docs/experiments/performance.md",
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_a_number_in_a_sentence(fact):
  text = " ".join((ROOT / FACTS[fact]).read_text().split())
  found = fact()
  for words in [found] if isinstance(found, str) else found:
    assert words in text
