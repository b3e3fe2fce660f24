"""The notebooks run from the first cell to the last, and show what they promise."""

import ast

import pytest

from tests import sources

pytestmark = pytest.mark.slow
nbclient = pytest.importorskip("nbclient", reason="nbclient is missing: the extra docs brings it")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: the extra docs brings it")
nbformat = pytest.importorskip("nbformat")


@pytest.mark.parametrize("name", ["first_steps", "own_problem"])
def test_it_runs_and_the_learned_optimizer_is_ahead(name, tmp_path, monkeypatch):
  monkeypatch.setenv("PYTHONPATH", str(sources.ROOT))
  path = sources.ROOT / "examples" / "notebooks" / f"{name}.ipynb"
  notebook = nbformat.read(path, as_version=4)
  where = {"metadata": {"path": str(tmp_path)}}
  nbclient.NotebookClient(notebook, kernel_name="python3", timeout=600, resources=where).execute()
  outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
  assert any("image/png" in output.get("data", {}) for output in outputs)
  (losses,) = (
    ast.literal_eval(output["data"]["text/plain"])
    for output in outputs
    if output["output_type"] == "execute_result"
  )
  learned = losses.pop("learned")
  assert 0 < learned < min(losses.values())
