"""`make docs`: the site builds without a warning, and needs no network."""

import os
import re
import subprocess
import sys

import pytest

from tests import sources

pytestmark = pytest.mark.slow

pytest.importorskip("mkdocs", reason="mkdocs is not installed: the extra docs brings it")


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory):
  folder = tmp_path_factory.mktemp("site")
  command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
  environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(sources.ROOT)}
  run = subprocess.run(
    command, cwd=sources.ROOT, env=environment, capture_output=True, text=True, check=False
  )
  assert run.returncode == 0, run.stderr[-3000:]
  assert "WARNING" not in run.stderr
  return folder


def test_pages_load_nothing_from_elsewhere(site):
  pages = list(site.rglob("*.html"))
  assert len(pages) > 40
  for page in pages:
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text())
    elsewhere = [tag for tag in tags if re.search(r"(?:src|href)=\"?(?:https?:)?//", tag)]
    assert elsewhere == []


def test_the_readme_is_the_first_page_and_cards_and_docstrings_are_there(site):
  first = (site / "index.html").read_text()
  assert "tutorial.html" in first and "figures/learned_optimizer.gif" in first
  assert "Works" in (site / "pretrained" / "general.html").read_text()
  keras = (site / "api" / "keras.html").read_text()
  assert "use_ema" in keras and "l2l_tf.keras.optimizer.LearnedOptimizer" in keras
  assert (site / "source" / "examples" / "own_optimizer.py").is_file()
  assert (site / "search" / "search_index.json").is_file()
