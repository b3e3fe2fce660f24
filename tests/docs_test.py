"""The tables of docs/results.md are made of the models, those of format.md have their keys.

`python -m tests.docs_test` writes what the models say into docs/results.md.
"""

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


RESULTS = sources.ROOT / "docs" / "results.md"


def table(**models):
  """The rows of one table: a field that some of the models lack says whose it is."""
  fields, shared = {}, set.intersection(*(set(model.model_fields) for model in models.values()))
  for whose, model in models.items():
    for name, field in model.model_fields.items():
      only = "" if name in shared else f"{whose.replace('_', ' ')} only: "
      text = " ".join((field.description or "").split())
      fields.setdefault(field.alias or name, f"{only}{text}")
  return "".join(f"| `{name}` | {text} |\n" for name, text in fields.items())


def results_page():
  """docs/results.md with the tables that the models make."""
  text = RESULTS.read_text()
  for title, models in {
    "# Results files": {"all": results_schema.Results},
    "## An optimizer": {
      "learned_and_peers": results_schema.Learned,
      "rivals": results_schema.Rival,
    },
    "## A ratio": {"all": results_schema.Ratio},
  }.items():
    above, title, below = text.partition(title)
    head, rule, rest = below.partition("\n|---|---|\n")
    rest = re.sub(r"(\|.*\n)+", lambda _, made=table(**models): made, rest, count=1)
    text = above + title + head + rule + rest
  return text


def test_the_tables_of_results_are_those_of_the_models():
  assert RESULTS.read_text() == results_page()
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


if __name__ == "__main__":
  RESULTS.write_text(results_page())
