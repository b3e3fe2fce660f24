"""`__all__` of each package is exactly what is public."""

import types

import pytest

import l2l_tf
from l2l_tf import optimizers
from l2l_tf import problems
from tests import sources


@pytest.mark.parametrize("package", [l2l_tf, optimizers, problems], ids=lambda p: p.__name__)
def test_all_is_exactly_what_the_package_imports_or_defines(package):
  """Modules count only where they are named: `import a.b` puts b into a whatever a says."""
  for name in package.__all__:
    getattr(package, name)  # l2l_tf imports it now
  names = {
    name
    for name, value in vars(package).items()
    if not name.startswith("_") and not isinstance(value, types.ModuleType)
  }
  listed = set(package.__all__)
  assert len(package.__all__) == len(listed)
  modules = {name for name in listed if isinstance(getattr(package, name), types.ModuleType)}
  assert names == listed - modules


def test_what_is_public():
  """A change here is a change for users: put it into the changelog."""
  assert sorted(l2l_tf.__all__) == [
    *["CheckpointError", "Diverged", "LearnedOptimizer", "MetaTrainer", "Training"],
    *["advise", "diagnose", "load_optimizer", "optimizers", "preprocessing", "pretrained"],
    *["save_optimizer", "unroll"],
  ]
  assert sorted(problems.__all__) == [
    *["DataError", "Dataset", "Problem", "bowl", "convnet", "from_function", "from_keras"],
    *["from_sonnet", "load", "mlp", "quadratic", "style_transfer"],
  ]
  assert set(optimizers.__all__) == {
    *["Optimizer", "HAND_DESIGNED", "LEARNED"],
    *(kind.__name__ for kind in optimizers.HAND_DESIGNED.values()),
    *(kind.__name__ for kind in optimizers.LEARNED.values()),
  }


@pytest.mark.parametrize("name", [n for n in sources.read() if n.split(".")[0] == "l2l_tf"])
def test_every_module_says_what_it_is(name):
  text = (sources.ROOT / sources.read()[name].path).read_text()
  assert text.startswith('"""') and len(text.split('"""')[1].split("\n")[0]) > 20
