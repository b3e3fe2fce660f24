"""Tables of what the trained optimizers reach on the paper's problems, from results/*.json."""

import math
import os
from typing import Any

from benchmarks.documentation.markdown import over_best
from benchmarks.documentation.markdown import pm
from benchmarks.documentation.markdown import ratio
from benchmarks.documentation.markdown import table
from l2l_tf.evaluation import results as results_lib
from l2l_tf.plotting.curves import RIVAL_LABELS
from l2l_tf.storage import files

PEERS = {
  "l2o_training_techniques_dm": "peer: L2O training techniques, DM",
  "l2o_training_techniques_dm_aug": "peer: L2O training techniques, DM + augmentation",
}
QUADRATICS = {
  "quadratic_lstm": "LSTM",
  "quadratic_lstm_gac": "LSTM+GAC",
  "quadratic_ntm_bfgs": "NTM-BFGS",
  "quadratic_ntm_lbfgs": "NTM-L-BFGS, history 10",
}
CIFAR10 = {
  "cifar10_conv_fc": "**`cifar10_conv_fc`**: an LSTM for conv, one for fc parameters",
  "cifar10_lstm": "`cifar10_lstm`: one LSTM for all, trained as long",
}
MNIST_FILES = {
  "mnist_100": "100 steps, 20 units",
  "mnist_200": "200 steps",
  "mnist_40": "40 units",
  "mnist_2x20": "two layers of 20",
  "mnist_relu": "ReLU",
  "mnist_100_test": "20 units, the 10,000 held-out digits",
}
CIFAR10_FILES = {
  "cifar10_train": "on the training set",
  "cifar10_test": "on the held-out set",
}
ART_FILES = {
  "neural_art_64": "64 × 64, the training style, 100 photographs",
  "neural_art_128": "128 × 128, a new style, 10 photographs",
}
SPANS = {  # of the quadratics, by file
  "quadratic_2d": "2 dimensions",
  "quadratic": "10",
  "quadratic_20d": "20",
  "quadratic_50d": "50",
  "quadratic_200": "10, 200 steps",
}
PHI_FILES = {"quadratic_phis": "100 steps", "quadratic_phis_200": "200 steps"}
PHIS = ("", "_1", "_2")  # of an optimizer: the shipped one, and two trainings from other seeds
OWN_GROUND = {
  "general_mnist_100": "20 units, 100 steps",
  "general_mnist_200": "20 units, 200 steps",
  "general_mnist_40": "40 units",
  "general_mnist_2x20": "two layers of 20",
  "general_mnist_relu": "ReLU",
}
SHOWN = ("mean loss", "final loss", "final / best rival")
PERCENTS = ("5", "25", "50", "75", "95")


def read(name: str) -> dict[str, Any]:
  """The results file of this name."""
  return results_lib.read(os.path.join("results", f"{name}.json"))


def _row(results: dict[str, Any], name: str, label: str, digits: int = 3) -> list[str]:
  entry = results["optimizers"][name]
  if entry["diverged"]:
    return [f"{label} ({entry['diverged']} runs of {results['num_runs']} diverge)"]
  numbers = [pm(entry[key], digits) for key in ("mean_loss", "final_loss")]
  return [label, *numbers, over_best(results, name)]


def _rivals(results: dict[str, Any]) -> list[str]:
  """The rivals' names, the best first and those that diverged last."""
  entries = results["optimizers"]
  names = [name for name, entry in entries.items() if entry["kind"] == "rival"]
  ends = {name: entries[name]["final_loss"]["mean"] for name in names}
  return sorted(names, key=lambda name: (ends[name] is None, ends[name]))


def mnist() -> str:
  """Section 3.2: all rivals on the first setting, the best one on the others."""
  rows: list[list[str]] = []
  for name, title in MNIST_FILES.items():
    results = read(name)
    rows += [[f"**{title}**"], _row(results, "mnist_lstm", "**`mnist_lstm`**")]
    peers = [peer for peer in PEERS if peer in results["optimizers"]]
    rows += [_row(results, peer, PEERS[peer]) for peer in reversed(peers)]
    if name == "mnist_100":
      rows += [_row(results, rival, RIVAL_LABELS[rival]) for rival in _rivals(results)]
    else:
      best = results["best_rival"]
      rows.append(_row(results, best, f"{RIVAL_LABELS[best]}, the best rival"))
  return table(["MNIST, 100 runs", *SHOWN], rows)


def mnist_phis() -> str:
  """What three trainings of `mnist_lstm` reach: the median of the three, and their range."""
  rows = []
  for name, title in MNIST_FILES.items():
    results = read(name.replace("mnist", "mnist_phis"))
    phis, best = [f"mnist_lstm{phi}" for phi in PHIS], results["best_rival"]
    losses = ("mean_loss", "final_loss")
    cells = [[results["optimizers"][phi][key]["mean"] for phi in phis] for key in losses]
    cells.append([one[0] for one in (results_lib.ratio_of(results, p, best) for p in phis) if one])
    rows.append([title, *(_of_three(values, ".3f") for values in cells), RIVAL_LABELS[best]])
  return table(["MNIST, 100 runs, three φ", *SHOWN, "best rival"], rows)


def half_orthogonal() -> str:
  """`mnist_lstm` and what half orthogonal updates add to it, over 100 and 200 steps."""
  titles = {f"half_orthogonal_{num_steps}": f"{num_steps} steps" for num_steps in (100, 200)}
  return _beside_mnist_lstm("half_orthogonal", titles)


def step_control() -> str:
  """`mnist_lstm` and what a controller of its steps adds to it, on the paper's networks."""
  titles = {name.replace("mnist", "step_control"): text for name, text in MNIST_FILES.items()}
  titles.pop("step_control_100_test")
  return _beside_mnist_lstm("step_control", titles)


def _beside_mnist_lstm(name: str, titles: dict[str, str]) -> str:
  """An optimizer that begins with `mnist_lstm`, that itself, and the best rival, for each file."""
  rows: list[list[str]] = []
  for file, title in titles.items():
    results = read(file)
    shared, best = read(file.replace(name, "mnist")), results["best_rival"]
    rows += [[f"**{title}**"], _row(results, name, f"`{name}`")]
    rows.append(_row(shared, "mnist_lstm", "`mnist_lstm`"))
    rows.append(_row(results, best, f"{RIVAL_LABELS[best]}, the best rival"))
  return table(["MNIST, 100 runs", *SHOWN], rows)


def quadratics() -> str:
  """Section 3.1 in brief, with medians and on how many functions each ends ahead of the best."""
  results = read("quadratic")
  best = results["best_rival"]
  rows = []
  for name, label in {**QUADRATICS, best: f"{RIVAL_LABELS[best]}, the best rival"}.items():
    row = _row(results, name, label)
    median = results["optimizers"][name]["final_loss_quantiles"]["50"]
    rows.append([*row[:3], f"{median:.2g}", row[3], _wins(results, name)])
  heads = [*SHOWN[:2], "median", SHOWN[2], "ahead of it on"]
  return table(["Quadratics, 2,000 functions", *heads], rows)


def _ahead(results: dict[str, Any], name: str) -> float | None:
  """On how many of a hundred instances it ends below the best rival, which itself has none."""
  pairs = ((r["numerator"], r["denominator"], r["wins"]) for r in results["ratios"])
  return next((100 * w for a, b, w in pairs if (a, b) == (name, results["best_rival"])), None)


def _wins(results: dict[str, Any], name: str) -> str:
  share = _ahead(results, name)
  return "" if share is None else f"{share:.0f} %"


def quadratics_final() -> str:
  """Final losses with quantiles, for all."""
  results = read("quadratic")
  rows = []
  for name, label in {**QUADRATICS, **{n: RIVAL_LABELS[n] for n in _rivals(results)}}.items():
    entry = results["optimizers"][name]
    quantiles = [f"{entry['final_loss_quantiles'][p]:.2g}" for p in PERCENTS]
    rate = entry.get("learning_rate")
    end = pm(entry["final_loss"])
    cells = [label, end, *quantiles, over_best(results, name) if rate is None else ""]
    rows.append([*cells, f"{rate:.3g}" if rate else ""])
  heads = [f"{p} %" if p != "50" else "median" for p in PERCENTS]
  return table(["", "final loss", *heads, "/ Adam", "rate"], rows)


def quadratics_others() -> str:
  """Final loss over the best rival's, of other dimensions and twice the steps."""
  found = {name: read(name) for name in SPANS}
  rows = []
  for name, label in QUADRATICS.items():
    ratios = [results_lib.ratio_of(r, name, r["best_rival"]) for r in found.values()]
    rows.append([label, *(ratio(value, 2) for value in ratios if value)])
  ends = [(r["best_rival"], r["optimizers"][r["best_rival"]]) for r in found.values()]
  rows.append(
    ["best rival", *(f"{RIVAL_LABELS[n]}, {e['final_loss']['mean']:.3g}" for n, e in ends)]
  )
  return table(["", *SPANS.values()], rows)


def quadratics_medians() -> str:
  """Median final losses, and on how many functions ours end ahead of the best rival."""
  found = {name: read(name) for name in SPANS}
  rows = []
  for name, label in {
    **QUADRATICS,
    **{n: RIVAL_LABELS[n] for n in _rivals(read("quadratic"))},
  }.items():
    cells = []
    for results in found.values():
      median = results["optimizers"][name]["final_loss_quantiles"]["50"]
      share = _wins(results, name)
      cells.append(f"{median:.2g}" + (f", {share}" if share else ""))
    rows.append([label, *cells])
  return table(["", *SPANS.values()], rows)


def quadratics_phis() -> str:
  """What three trainings of each optimizer reach: the median of the three, and their range."""
  found = {title: read(name) for name, title in PHI_FILES.items()}
  rows = []
  for name, label in QUADRATICS.items():
    cells = []
    for results in found.values():
      against = [
        results_lib.ratio_of(results, f"{name}{phi}", results["best_rival"]) for phi in PHIS
      ]
      ends = [results["optimizers"][f"{name}{phi}"]["final_loss_quantiles"]["50"] for phi in PHIS]
      cells.append(_of_three([one[0] for one in against if one], ".2f"))
      cells.append(_of_three(ends, ".2g"))
      cells.append(_of_three([_ahead(results, f"{name}{phi}") for phi in PHIS], ".0f") + " %")
    rows.append([label, *cells])
  heads = ("mean / {}", "median function", "ahead on")
  rivals = (RIVAL_LABELS[results["best_rival"]] for results in found.values())
  titles = [f"{t}: {h.format(r)}" for t, r in zip(found, rivals) for h in heads]
  return table(["", *titles], rows)


def _of_three(values: list[Any], spec: str) -> str:
  low, median, high = sorted(values)
  return f"{median:{spec}} ({low:{spec}}–{high:{spec}})"


def cifar10() -> str:
  """Section 3.3."""
  rows: list[list[str]] = []
  for name, title in CIFAR10_FILES.items():
    results = read(name)
    rows.append([f"**{title}**"])
    rows += [_row(results, one, label) for one, label in CIFAR10.items()]
    rows += [_row(results, rival, RIVAL_LABELS[rival]) for rival in _rivals(results)]
  return table(["CIFAR-10 (re-encoded pixels), 1,000 steps, 10 runs", *SHOWN], rows)


def cifar10_early() -> str:
  """When the rivals have the loss that the learned one has early, and two LSTMs against one."""
  found = {title: read(name) for name, title in CIFAR10_FILES.items()}
  rows = []
  for rival in _rivals(read("cifar10_train")):
    steps = [results_lib.steps_of_rivals(r, "cifar10_conv_fc", 100) for r in found.values()]
    rows.append([RIVAL_LABELS[rival], *(str(one.get(rival, "never")) for one in steps)])
  two = [results_lib.ratio_of(r, "cifar10_conv_fc", "cifar10_lstm") for r in found.values()]
  rows.append(["final loss of two LSTMs over that of one", *(ratio(r) for r in two if r)])
  return table(["step at which it has the loss of `cifar10_conv_fc` at step 100", *found], rows)


def neural_art() -> str:
  """Section 3.4."""
  rows: list[list[str]] = []
  for name, title in ART_FILES.items():
    results = read(name)
    rows += [[f"**{title}**"], _row(results, "neural_art_lstm", "**`neural_art_lstm`**", 0)]
    rows += [_row(results, rival, RIVAL_LABELS[rival], 0) for rival in _rivals(results)]
  return table(["Neural art, 128 steps", *SHOWN], rows)


def neural_art_lead() -> str:
  """From when on it leads, on how many photographs it ends below Adam, and L-BFGS beside it."""
  rows: list[list[str]] = [
    ["ahead of all rivals from step"],
    ["ends below Adam's loss on"],
    ["rivals that reach its loss of step 100"],
    ["L-BFGS after as many evaluations, over `neural_art_lstm`"],
    ["L-BFGS after as many evaluations, over Adam"],
    ["photographs that L-BFGS ran on"],
  ]
  for name in ART_FILES:
    results = read(name)
    lbfgs = files.read_json(os.path.join("benchmarks", f"lbfgs_{name.rpartition('_')[2]}.json"))
    pair = next(r for r in results["ratios"] if r["denominator"] == "adam")
    wins = round(pair["wins"] * results["num_runs"])
    there = results_lib.steps_of_rivals(results, "neural_art_lstm", 100)
    cells = [str(results_lib.leads_from(results, "neural_art_lstm"))]
    cells += [f"{wins} of {results['num_runs']}", str(len(there) or "none")]
    cells += [ratio(lbfgs["ratios"][other]) for other in ("neural_art_lstm", "adam")]
    for row, cell in zip(rows, [*cells, str(lbfgs["num_runs"])]):
      row.append(cell)
  return table(["", *(title.split(", ")[0] for title in ART_FILES.values())], rows)


def neural_art_styles() -> str:
  """`neural_art_lstm` and tuned Adam in other styles."""
  found = files.read_json(os.path.join("benchmarks", "neural_art_styles.json"))
  rows = []
  for row in found["rows"]:
    lower = round(row["wins"] * found["num_runs"])
    rate = f"{row['learning_rate']:.2g}"
    rows.append(
      [row["style"].replace("_", " "), rate, ratio(row), f"{lower} of {found['num_runs']}"]
    )
  heads = [
    "style",
    "Adam's best rate",
    "final loss over Adam's",
    "photographs on which it ends lower",
  ]
  return table(heads, rows)


def exact_line_search() -> str:
  """What needs W: BFGS and conjugate gradients with exact line search."""
  losses = files.read_json(os.path.join("benchmarks", "exact_line_search.json"))["losses"]
  labels = {"bfgs": "BFGS", "conjugate_gradients": "conjugate gradients"}
  rows = []
  for name, label in labels.items():
    cells = [f"{losses[name][step]['mean']:.2g}" for step in ("1", "5", "10")]
    rows.append([label, *cells, f"{losses[name]['10']['quantiles'][1]:.1g}"])
  return table(["mean loss at step", "1", "5", "10", "median at 10"], rows)


def own_ground() -> str:
  """`general` beside `mnist_lstm` on the paper's networks."""
  rows = []
  for name, title in OWN_GROUND.items():
    results = read(name)
    ratios = [over_best(results, one) for one in ("general", "mnist_lstm")]
    rows.append([title, RIVAL_LABELS[results["best_rival"]], *ratios])
  return table(["final loss over that of", "best rival", "`general`", "`mnist_lstm`"], rows)


def modern_rivals() -> str:
  """Optimizers younger than the paper on the same instances of MNIST, and ours over the best."""
  document = files.read_json(os.path.join("benchmarks", "modern_rivals.json"))
  rows = []
  for name, title in MNIST_FILES.items():
    found = {r["rival"]: r for r in document["rows"] if r["setting"] == name}
    if found:
      ends = [_end(row) for row in found.values()]
      best = min(
        found.values(), key=lambda r: math.inf if r["final_mean"] is None else r["final_mean"]
      )
      ours = [
        ratio({key: best[f"{one}_over_it_{key}"] for key in ("ratio", "low", "high")})
        for one in ("mnist_lstm", "general")
      ]
      rows.append([title, *ends, *ours])
  names = list(dict.fromkeys(row["rival"] for row in document["rows"]))
  return table(["final loss", *names, "`mnist_lstm` / best", "`general` / best"], rows)


def many_passes() -> str:
  """Many passes over the minibatches of one run on MNIST, and `mnist_lstm` after one over them."""
  rows = files.read_json(os.path.join("benchmarks", "many_passes.json"))["rows"]
  penalties = list(dict.fromkeys(row["penalty"] for row in rows))
  lines = []
  for passes in dict.fromkeys(row["passes"] for row in rows):
    line = [f"{passes}"]
    for penalty in penalties:
      row = next(r for r in rows if (r["passes"], r["penalty"]) == (passes, penalty))
      ours = {key: row[f"mnist_lstm_over_it_{key}"] for key in ("ratio", "low", "high")}
      line += [_end(row), ratio(ours)]
    lines.append(line)
  header = ["passes"]
  for penalty in penalties:
    header += [f"final loss, penalty {penalty:g}" if penalty else "final loss", "`mnist_lstm` / it"]
  return table(header, lines)


def _end(row: dict[str, Any]) -> str:
  """A final loss, and the rate that it was reached at."""
  end = pm({"mean": row["final_mean"], "half": row["final_half"]})
  return end if row["learning_rate"] is None else f"{end} at {row['learning_rate']:.2g}"


TABLES = {
  "mnist": mnist,
  "half_orthogonal": half_orthogonal,
  "step_control": step_control,
  "quadratics": quadratics,
  "quadratics_final": quadratics_final,
  "quadratics_others": quadratics_others,
  "quadratics_medians": quadratics_medians,
  "quadratics_phis": quadratics_phis,
  "mnist_phis": mnist_phis,
  "cifar10": cifar10,
  "cifar10_early": cifar10_early,
  "neural_art": neural_art,
  "neural_art_lead": neural_art_lead,
  "neural_art_styles": neural_art_styles,
  "exact_line_search": exact_line_search,
  "own_ground": own_ground,
  "modern_rivals": modern_rivals,
  "many_passes": many_passes,
}
