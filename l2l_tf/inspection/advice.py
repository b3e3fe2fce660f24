"""What the numbers of a diagnosis say, in words."""

from typing import NamedTuple

import numpy as np

from l2l_tf.evaluation import protocol
from l2l_tf.inspection.diagnosis import RATES
from l2l_tf.inspection.diagnosis import Diagnosis
from l2l_tf.inspection.diagnosis import Record
from l2l_tf.inspection.diagnosis import input_limits
from l2l_tf.optimizers import preprocessing as preprocessing_lib
from l2l_tf.pretrained import GENERAL

ENOUGH = 0.9  # of the best rival's progress: more is fine
MOST = 0.5  # of all coordinates or units
MOST_CELLS = 0.9  # good optimizers keep about half of their cells saturated: as memories
TOO_MUCH = 10.0  # times as large, or as small
BEYOND = 2  # horizons, a likely cause; the paper shows two (Figure 4, right)


class Finding(NamedTuple):
  """One cause, and what to do about it."""

  cause: str  # a short name, see `advise`
  text: str


def progress(diagnosis: Diagnosis) -> float:
  """How far the loss went down, as a share of the best rival's way; NaN if that went nowhere."""
  first = float(np.mean(diagnosis.rival.losses[0]))
  own, best = (_final(record) for record in (diagnosis.record, diagnosis.rival))
  return (first - own) / (first - best) if best < first else float("nan")


def advise(diagnosis: Diagnosis) -> list[Finding]:
  """The causes that the numbers show, the gravest first.

  Causes: `problem` (not even the rivals learn), `not finite`, `no gradient`, `tiny gradients`,
  `huge gradients`, `saturated units`, `uphill`, `small steps`, `large steps`, `horizon`; `fine` if
  it keeps up with the best rival; `unknown` if it does not and nothing is found. Where it does not,
  `general` ends the list if the optimizer for any model gets further.
  """
  share = progress(diagnosis)
  causes = [
    *_of_the_problem(diagnosis),
    *_of_the_inputs(diagnosis),
    *_of_the_optimizer(diagnosis),
  ]
  if share >= ENOUGH:
    words = f"It goes {share:.0%} of the way of {_rival(diagnosis)}, the best rival here."
    return [Finding("fine", words), *(f for f in causes if f.cause == "no gradient")]
  lacking = (
    "The numbers show no cause. Meta-train an optimizer on this problem, named as `problem`."
  )
  return (causes or [Finding("unknown", lacking)]) + _general(diagnosis)


def _general(diagnosis: Diagnosis) -> list[Finding]:
  own, first = _final(diagnosis.record), float(np.mean(diagnosis.rival.losses[0]))
  if diagnosis.general is None:
    return []
  final = float(protocol.final_losses(diagnosis.general.T).mean())
  if not final < min(first, own if np.isfinite(own) else np.inf):
    return []
  text = (
    f"`{GENERAL}`, the optimizer for any model, gets to {final:.4g} here (from {first:.4g};"
    f" {_rival(diagnosis)}, the best rival: {_final(diagnosis.rival):.4g}): use"
    " LearnedOptimizer() without a name."
  )
  return [Finding("general", text)]


def _of_the_problem(diagnosis: Diagnosis) -> list[Finding]:
  record, rival, findings = diagnosis.record, diagnosis.rival, []
  first = float(np.mean(rival.losses[0]))
  if not first > _final(rival):
    text = (
      f"Neither SGD nor Adam lowers the loss {first:.4g} in {len(rival.downhill)} steps at any rate"
      f" of {', '.join(f'{rate:g}' for rate in RATES)}: look for the error in the problem itself"
      " (the sign of the loss, labels that do not belong to the inputs, a scale far from 1), or run"
      " more steps."
    )
    findings.append(Finding("problem", text))
  bad = np.flatnonzero(~np.isfinite(record.losses).all(axis=1))
  if len(bad):
    text = (
      f"The loss is not finite from step {bad[0]} on: the steps are too large for this problem."
      " Lower `update_scale`, or `output_scale` when you train; at step 0 it is the problem's own."
    )
    findings.append(Finding("not finite", text))
  dead = [name for name, values in record.gradients.items() if not np.any(values)]
  if dead:
    text = (
      f"No gradient ever reaches {', '.join(dead)}: the loss does not depend on it, or the units in"
      " front of it are dead (ReLU) or saturated. No optimizer can help there."
    )
    findings.append(Finding("no gradient", text))
  return findings


def _of_the_inputs(diagnosis: Diagnosis) -> list[Finding]:
  if diagnosis.preprocessing is None:  # no LSTM, and inputs without units
    return []
  record = diagnosis.record
  low, high = input_limits(diagnosis.preprocessing)
  median = float(record.median_gradient[0])
  factor = _round(np.sqrt(low * high) / median) if median else 1.0  # to between the limits
  small, large = (_typical(record.shares[key]) for key in ("small", "large"))
  is_log = isinstance(diagnosis.preprocessing, preprocessing_lib.LogAndSign)
  if small > MOST:
    where = f"in the linear branch of Appendix A, |g| < e^-p = {low:.1g}" if is_log else "near 0"
    text = (
      f"{small:.0%} of the gradients are too small (at theta_0 |g| is {median:.1g}): {where},"
      f" and the LSTM hardly sees them. Multiply the loss by about {factor:g} (a sum instead of a"
      " mean?), or train an optimizer with a larger `preprocessing_constant`."
    )
    return [Finding("tiny gradients", text)]
  if large > MOST:
    text = (
      f"{large:.0%} of the gradients are too large (at theta_0 |g| is {median:.2g}, the limit"
      f" {high:.2g}): inputs that the LSTM has hardly met. Multiply the loss by about {factor:g} (a"
      " mean instead of a sum?), scale the data, or train an optimizer on this problem."
    )
    return [Finding("huge gradients", text)]
  return []


def _of_the_optimizer(diagnosis: Diagnosis) -> list[Finding]:
  record, findings = diagnosis.record, []
  names = ("hidden", "cells", "gates")
  shares = {key: _typical(record.shares[key]) if key in record.shares else 0.0 for key in names}
  if max(shares["hidden"], shares["gates"]) > MOST or shares["cells"] > MOST_CELLS:
    text = (
      f"Units of the LSTM are saturated (|h| {shares['hidden']:.0%}, cells {shares['cells']:.0%},"
      f" gates {shares['gates']:.0%}): its updates hardly depend on the gradients any more, and no"
      " meta-gradient comes back. Start again from an earlier phi, with a lower `learning_rate` or"
      " `max_gradient_norm`; or the inputs are far from those it was trained on."
    )
    findings.append(Finding("saturated units", text))
  downhill = float(np.nanmean(record.downhill))
  if downhill <= 0:
    text = (
      f"The updates do not follow the negative gradient (mean cosine {downhill:.2f}): is this"
      " optimizer trained at all, and on problems like this one?"
    )
    findings.append(Finding("uphill", text))
  ratio = _size(record) / max(_size(diagnosis.rival), 1e-30)
  if np.isfinite(ratio) and not 1 / TOO_MUCH < ratio < TOO_MUCH:
    kind, word = ("small steps", "smaller") if ratio < 1 else ("large steps", "larger")
    factor = ratio if ratio > 1 else 1 / max(ratio, 1e-30)
    text = (
      f"Its updates are {factor:.2g} times {word} than those of {_rival(diagnosis)}, the best rival"
      f" (root mean square {_size(record):.2g}). Try LearnedOptimizer(..., update_scale="
      f"{_round(1 / max(ratio, 1e-30)):g}), and mind that its states do not know of the scale; or"
      " train it on this problem."
    )
    findings.append(Finding(kind, text))
  steps = len(record.downhill)
  if diagnosis.horizon and steps > BEYOND * diagnosis.horizon:
    text = (
      f"It was trained to make {diagnosis.horizon} steps and makes {steps} here. Go on with another"
      " optimizer after its horizon, or train it for longer (`num_steps`)."
    )
    findings.append(Finding("horizon", text))
  return findings


def table(diagnosis: Diagnosis) -> str:
  """The numbers in words, a line each."""
  record, rival = diagnosis.record, diagnosis.rival
  first = float(np.mean(rival.losses[0]))
  count = record.losses.shape[1]
  lines = [f"Loss {first:.4g} at theta_0; final losses, means of {count} instances:"]
  lines.append(f"  learned  {_final(record):.4g}")
  if diagnosis.general is not None:
    lines.append(f"  {GENERAL}  {protocol.final_losses(diagnosis.general.T).mean():.4g}")
  for name, losses in diagnosis.grid.items():
    cells = "   ".join(f"{loss:.4g} ({rate:g})" for rate, loss in zip(RATES, losses))
    lines.append(f"  {name:7}  {cells}   (learning rates)")
  lines.append("Root mean squares, from the first steps to the last ones:")
  width = max(map(len, record.gradients))
  lines.append(f"  {'':{width}}  {'gradients':22}{'updates':22}updates of {_rival(diagnosis)}")
  for name in record.gradients:
    columns = record.gradients[name], record.updates[name], rival.updates[name]
    lines.append(f"  {name:{width}}  " + "".join(f"{_ends(x):22}" for x in columns).rstrip())
  lines += _shares(diagnosis)
  lines.append(f"Cosine of the updates with -gradient: {_ends(record.downhill)}")
  return "\n".join(lines)


def _shares(diagnosis: Diagnosis) -> list[str]:
  """What the gradients and the units of the LSTM are like, if there is one."""
  shares = {key: f"{_typical(values):.0%}" for key, values in diagnosis.record.shares.items()}
  if diagnosis.preprocessing is None:
    return [f"Gradients: {shares['zero']} are 0."]
  low, high = input_limits(diagnosis.preprocessing)
  return [
    f"Gradients: {shares['zero']} are 0; of the others {shares['small']} below {low:.2g} and"
    f" {shares['large']} above {high:.2g}.",
    f"Saturated units: |h| {shares['hidden']}, cells {shares['cells']}, gates {shares['gates']}.",
  ]


def _final(record: Record) -> float:
  """The mean final loss; inf if a run diverged."""
  return float(protocol.final_losses(record.losses.T).mean())


def _size(record: Record) -> float:
  """Root mean square of the updates over parameters and steps."""
  return float(np.sqrt(np.mean([values**2 for values in record.updates.values()])))


def _typical(values: np.ndarray) -> float:
  """The median over the steps."""
  return float(np.nanmedian(values)) if len(values) else 0.0


def _ends(values: np.ndarray) -> str:
  """Means of the first and of the last tenth of the steps."""
  count = max(len(values) // 10, 1)
  return f"{np.mean(values[:count]):.2g} -> {np.mean(values[-count:]):.2g}"


def _rival(diagnosis: Diagnosis) -> str:
  return f"{diagnosis.rival_name} at {diagnosis.rival_rate:g}"


def _round(value: float) -> float:
  """To one digit: advice is no more exact."""
  return float(f"{value:.0e}")
