"""Imports go one way: the layers of DESIGN section 3, from the bottom to the top.

A module imports from lower layers only, or in its own package from those to its left.
"""

import pytest

from tests import sources

LAYERS = [
  ["problems.base", "problems.datasets", "l2l_tf.optimizers.base", "l2l_tf.preprocessing"]
  + ["l2l_tf.options", "l2l_tf.plots", "l2l_tf.pretrained", "l2l_tf.results_schema"]
  + ["l2l_tf.progress", "l2l_tf.run_directory", "l2l_tf.stopping", "l2l_tf.keras_arguments"]
  + ["l2l_tf.keras_watch"]
  + ["l2l_tf.distribution", "l2l_tf.coordinates", "l2l_tf.provenance", "l2l_tf.text_plots"]
  + ["l2l_tf.files", "l2l_tf.reporting"],
  ["problems.classification", "problems.convolutional", "problems.quadratics"]
  + ["problems.minibatches", "problems.reseeding"]
  + ["problems.tfds_images", "problems.photographs", "problems.vgg", "problems.neural_art"]
  + ["problems.adapters", "problems.keras_adapter", "problems"]
  + ["l2l_tf.optimizers.lstm", "l2l_tf.optimizers.memory", "l2l_tf.optimizers.hand_designed"]
  + ["l2l_tf.optimizers.coordinatewise", "l2l_tf.optimizers.global_averaging"]
  + ["l2l_tf.optimizers.ntm_bfgs", "l2l_tf.optimizers.partition", "l2l_tf.optimizers"]
  + ["l2l_tf.optimizers.subset"]
  + ["l2l_tf.optimizers.stored_state", "l2l_tf.training_options"],
  ["l2l_tf.user_problem", "l2l_tf.problem_options", "l2l_tf.unroll", "l2l_tf.checkpoint"]
  + ["l2l_tf.peers", "l2l_tf.proposal_plots"],
  ["l2l_tf.blocks", "l2l_tf.training_checkpoint", "l2l_tf.initial_phi"],
  ["l2l_tf.sampled_backprop", "l2l_tf.recomputation"],
  ["l2l_tf.meta_training", "l2l_tf.evaluation", "l2l_tf.contenders", "l2l_tf.parts"]
  + ["l2l_tf.keras_optimizer"],
  ["l2l_tf.diagnosis", "l2l_tf.proposals", "l2l_tf.rivals", "l2l_tf.imitation"]
  + ["l2l_tf.training_report", "l2l_tf.verdict"],
  ["l2l_tf.advice", "l2l_tf.observation", "l2l_tf.painting"],
  ["l2l_tf", "l2l_tf.experiments", "l2l_tf.results", "l2l_tf.summaries"],
  ["l2l_tf.run_config", "l2l_tf.program_flags"],
  ["l2l_tf.command_line", "l2l_tf.training_run", "l2l_tf.comparison", "l2l_tf.visualizations"],
  ["l2l_tf.search"],
]
PACKAGES = ("problems", "l2l_tf.optimizers")  # in which a module may import its left neighbours
TOP = ("bin", "benchmarks", "examples", "tests")

SOURCES = sources.read()
LIBRARY = [name for name in SOURCES if name.split(".")[0] not in TOP]


def place(name: str) -> tuple[int, int]:
  """The layer of a module and its position there."""
  places = [(k, layer.index(name)) for k, layer in enumerate(LAYERS) if name in layer]
  assert len(places) == 1, f"Put {name} into LAYERS, once."
  return places[0]


def package(name: str):
  """The one of `PACKAGES` that the module is in, else None."""
  return next((p for p in PACKAGES if name == p or name.startswith(p + ".")), None)


def test_every_module_is_in_the_table_once():
  assert sorted(name for layer in LAYERS for name in layer) == sorted(LIBRARY)


@pytest.mark.parametrize("name", LIBRARY)
def test_imports_go_one_way(name):
  layer, position = place(name)
  for imported in SOURCES[name].ours:
    assert imported.split(".")[0] not in TOP, f"{name} must not import {imported}."
    other_layer, other_position = place(imported)
    left = package(name) is not None and package(name) == package(imported)
    left = left and other_layer == layer and other_position < position
    assert other_layer < layer or left, f"{name} must not import {imported}: not below it."


def test_problems_know_nothing_of_optimizers_and_optimizers_nothing_of_problems():
  for name in LIBRARY:
    roots = {imported.split(".")[0] for imported in SOURCES[name].ours}
    if name.split(".")[0] == "problems":
      assert roots <= {"problems"}, name
    if package(name) == "l2l_tf.optimizers" or name == "l2l_tf.preprocessing":
      assert roots <= {"l2l_tf"}, name


def test_nothing_imports_the_top_but_tests_and_benchmarks_and_programs_each_other():
  for name, source in SOURCES.items():
    tops = {imported.split(".")[0] for imported in source.ours} & set(TOP)
    allowed = {name.split(".")[0]} & {"benchmarks", "bin"}
    assert name.startswith("tests") or tops <= allowed, f"{name} imports {tops}."
  assert "bin.train" in SOURCES["tests.tiny_training"].ours  # the reader sees these too


def test_keras_is_imported_in_its_adapters_only():
  users = {name for name in LIBRARY if "keras" in SOURCES[name].others}
  assert users == {"l2l_tf.keras_optimizer", "problems.keras_adapter", "problems.vgg"}


def test_side_effects_stay_at_the_edge():
  """Only these read flags, or use the network."""
  assert {n for n in LIBRARY if "argparse" in SOURCES[n].others} == set()
  assert {n for n in LIBRARY if "urllib" in SOURCES[n].others} == {"problems.datasets"}
