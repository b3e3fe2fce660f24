"""The tables of docs/results.md, format.md and visualizations.md have the keys of the models."""

import re

from l2l_tf.config import optimizers
from l2l_tf.evaluation import results_schema
from l2l_tf.inspection import proposal_files
from tests import sources

LSTMS = (optimizers.LSTM, optimizers.LSTMGAC, optimizers.NTMBFGS, optimizers.NTMLBFGS)


def rows(document, title):
  """The rows below a title of a document, {first cell: second cell}, of the first table there."""
  text = (sources.ROOT / "docs" / document).read_text()
  below = text[text.index(title) :]
  table = re.search(r"\n\|---.*?\n((?:\|.*\n)+)", below)[1]
  return dict(re.findall(r"^\| (.+?) \| (.+?) \|", table, re.MULTILINE))


def keys(document, title):
  """All names in backticks in the first cells."""
  return {name for cell in rows(document, title) for name in re.findall(r"`(\w+)`", cell)}


def of(*models):
  return {f.alias or name for model in models for name, f in model.model_fields.items()}


def test_results():
  assert keys("results.md", "# Results files") == of(results_schema.Results)
  expected = of(results_schema.Learned, results_schema.Rival)
  assert keys("results.md", "## An optimizer") == expected
  assert keys("results.md", "## A ratio") == of(results_schema.Ratio)
  quantiles = rows("results.md", "## An optimizer")["`final_loss_quantiles`"]
  assert all(f'`"{quantile}"`' in quantiles for quantile in results_schema.QUANTILES)
  finalists = rows("results.md", "## An optimizer")["`finalists`"]
  assert f"{{{', '.join(results_schema.Finalists.model_fields)}}}" in finalists


def test_visualizations():
  assert keys("visualizations.md", "## The files") == of(proposal_files.Visualization)
  assert keys("visualizations.md", "| `coordinates` |") == of(proposal_files.Shown)


def test_optimizers():
  """By their names in files; a `kind` has a sentence before the table."""
  apart = {"name": set(), "preprocessing_constant": set(), "controller_sizes": {"hidden"}}
  names = of(*LSTMS, optimizers.General, optimizers.OddPartOf, optimizers.PartitionOf)
  expected = set().union(*(apart.get(name, {name}) for name in names))
  table = rows("format.md", "The kinds are")
  assert keys("format.md", "The kinds are") == expected
  hidden = optimizers.General.model_json_schema()["properties"]["controller_sizes"]
  bounds = f"1 to {hidden['maxItems']} hidden layers, 1 to {hidden['items']['maximum']} each"
  assert bounds in table["`hidden`"]
  layers = optimizers.LSTM.model_json_schema()["properties"]["layer_sizes"]
  assert f"more than {layers['maxItems']} layers" in table["`layer_sizes`"]
  assert f"0 < p ≤ {optimizers.MAX_P:g}" in table["`preprocessing`"]
  assert f"1 to {optimizers.MAX_GROUPS} names" in table["`groups`"]
  kinds = (sources.ROOT / "docs" / "format.md").read_text()
  assert all(f"`{name}`" in kinds for name in optimizers.OPTIMIZERS)
