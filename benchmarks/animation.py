"""The animated picture of README.md: python -m benchmarks.animation --out=docs/figures/learned.gif

Steps 1 to 32 of small networks on MNIST, from results/ alone. Left the loss of `mnist_lstm`, Adam
and SGD, both tuned, up to this step; right the update that each would make of one weight at this
step, for any gradient that could come now.
"""

from collections.abc import Sequence
import io
import os
from typing import Any

import numpy as np
from PIL import Image

from l2l_tf.cli import experiment_flags
from l2l_tf.cli import paths
from l2l_tf.evaluation import results as results_lib
from l2l_tf.inspection import proposal_files
from l2l_tf.plotting import curves

STYLES = {
  "mnist_lstm": ("learned optimizer", {"color": curves.BLACK, "linewidth": 2}),
  "adam": ("Adam, best of 30 rates", {"color": curves.ORANGE, "linewidth": 1.5, "linestyle": "--"}),
  "sgd": ("SGD, best of 30 rates", {"color": curves.GREEN, "linewidth": 1.5, "linestyle": ":"}),
}
COORDINATE = "hidden_1/w[535,14]"
DOTS_PER_INCH, COLOURS = 100, 48
LINEAR = 0.01  # updates up to this lie on a linear axis
MILLISECONDS = 250  # of a frame
HOLD = 8  # so many times as long the last one


def make_flags() -> experiment_flags.Flags:
  """The flags of this program."""
  flags = experiment_flags.Flags(__doc__)
  flags.add(paths.Written, "out", "runs/figures/learned.gif", "the picture")
  flags.add(paths.Read, "results", "results", "directory of results")
  flags.add(int, "num_steps", 32, "frames", bounds=(2, 32))
  return flags


def main(argv: Sequence[str]) -> int:
  """Runs the program; returns its exit status."""
  flags = make_flags().parse(argv)
  losses = results_lib.read(os.path.join(flags.results, "mnist_100.json"))["optimizers"]
  shown = proposal_files.read(os.path.join(flags.results, "visualizations", "mnist_lstm.json"))
  frames = [_frame(losses, shown, step, flags.num_steps) for step in range(1, flags.num_steps + 1)]
  os.makedirs(os.path.dirname(flags.out) or ".", exist_ok=True)
  frames[0].save(
    flags.out,
    save_all=True,
    append_images=frames[1:],
    duration=[MILLISECONDS] * (len(frames) - 1) + [MILLISECONDS * HOLD],
    loop=0,
  )
  print(f"Written to {flags.out}: {os.path.getsize(flags.out) / 1000:.0f} kB")
  return 0


def _frame(losses: dict[str, Any], shown: dict[str, Any], step: int, last: int) -> Image.Image:
  """The picture after `step` steps."""
  figure = curves.new_figure(8.2, 3.3)
  left, right = figure.subplots(1, 2)
  for name, (label, style) in STYLES.items():
    left.plot(range(step + 1), losses[name]["mean"][: step + 1], label=label, **style)
  left.set(xlim=(0, last), ylim=(0.25, 2.6), yscale="log", xlabel="step", ylabel="training loss")
  left.set_yticks([0.3, 0.5, 1, 2], ["0.3", "0.5", "1", "2"])
  left.set_yticks([], minor=True)
  left.set_title("A small network on MNIST, mean of 100 runs", fontsize=9)
  left.legend(loc="lower left", fontsize=8, frameon=False)
  entry, row = shown["coordinates"][COORDINATE], shown["steps"].index(step)
  gradients = 1000 * np.array(entry["swept_gradients"])
  most = max(np.abs(np.array(entry["swept_updates"]["learned"])).max(), 1e-9)
  for name, (_, style) in STYLES.items():
    updates = entry["swept_updates"]["learned" if name == "mnist_lstm" else name][row]
    right.plot(gradients, updates, **style)
  seen = 1000 * entry["gradients"][step - 1]
  right.axvline(seen, color=curves.SILVER, linewidth=1)
  right.axhline(0, color=curves.SILVER, linewidth=0.5)
  right.set(xlim=(gradients[0], gradients[-1]), ylim=(-1.1 * most, 1.1 * most))
  right.set_yscale("symlog", linthresh=LINEAR)
  right.set_yticks([-0.1, -0.01, 0, 0.01, 0.1], ["−0.1", "−0.01", "0", "0.01", "0.1"])
  right.set_yticks([], minor=True)
  right.set(xlabel="gradient of one weight × 1000 (grey: the one seen)", ylabel="its update")
  right.set_title(f"Step {step}: what each would do", fontsize=9)
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
  return Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
  experiment_flags.run(main)
