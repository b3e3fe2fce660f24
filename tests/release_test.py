"""What a release needs: one version everywhere, and packages that pass `twine check`."""

import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from l2l_tf.version import VERSION
from tests import sources

PLACES = {
  "MODULE.bazel": r'name = "l2l_tf", version = "(.+?)"',
  "CITATION.cff": r"^version: (.+)$",
}
COPIED = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md")
COPIED += ("CITATION.cff",)


@pytest.mark.parametrize("name, pattern", PLACES.items(), ids=PLACES)
def test_the_version_is_the_same_everywhere(name, pattern):
  text = (sources.ROOT / name).read_text()
  assert re.search(pattern, text, re.MULTILINE)[1] == VERSION


def _python(*words: str, cwd: pathlib.Path) -> str:
  run = subprocess.run([sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True)
  assert run.returncode == 0, (words, run.stdout[-2000:], run.stderr[-2000:])
  return run.stdout


@pytest.mark.slow
def test_the_wheel_and_the_sdist_build_and_pass(tmp_path):
  """The wheel is built from the sdist, so that nothing is missing there."""
  for module in ("build", "twine"):
    pytest.importorskip(module, reason=f"{module} is not installed: the extra dev brings it")
  source = tmp_path / "source"
  source.mkdir()
  for name in ("l2l_tf", "problems"):
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(sources.ROOT / name, source / name, ignore=ignored)
  for name in COPIED:
    shutil.copy(sources.ROOT / name, source)
  _python("build", "--no-isolation", "--outdir", "dist", cwd=source)
  sdist, wheel = sorted((source / "dist").iterdir(), key=lambda path: path.suffix)
  assert wheel.name == f"l2l_tf-{VERSION}-py3-none-any.whl" and sdist.name.endswith(".tar.gz")
  assert (
    _python("twine", "check", "--strict", *map(str, (sdist, wheel)), cwd=source).count("PASSED")
    == 2
  )
  with zipfile.ZipFile(wheel) as archive:
    names = set(archive.namelist())
    metadata = archive.read(f"l2l_tf-{VERSION}.dist-info/METADATA").decode()
  assert {"l2l_tf/keras_backend.py", "l2l_tf/problems/digits/mnist_5000.npz"} <= names
  assert "l2l_tf/pretrained/general/optimizer.safetensors" in names
  assert "learning rate to choose" in metadata and "](docs/" not in metadata
  with tarfile.open(sdist) as archive:
    inside = {"CITATION.cff", "l2l_tf/optimizers/lstm_kernel.cc"}
    assert {f"l2l_tf-{VERSION}/{name}" for name in inside} < set(archive.getnames())
