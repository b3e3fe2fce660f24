"""What the source files are and what they import, read without running them."""

import ast
import pathlib
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("l2l_tf", "problems")
FOLDERS = (*PACKAGES, "bin", "benchmarks", "examples", "tests")


class Source(NamedTuple):
  path: str  # from the root, "l2l_tf/unroll.py"
  ours: tuple[str, ...]  # the modules of ours that it imports, sorted: "problems.base"
  others: tuple[str, ...]  # the top-level packages of others, sorted, standard library included


def module_name(path: str) -> str:
  """Returns "l2l_tf.unroll" for "l2l_tf/unroll.py", and the package for its __init__."""
  return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def read() -> dict[str, Source]:
  """Returns every source file by its module's name, sorted."""
  files = [f.relative_to(ROOT) for folder in FOLDERS for f in (ROOT / folder).rglob("*.py")]
  paths = {module_name(p.as_posix()): p.as_posix() for p in files if "__pycache__" not in p.parts}
  return {name: _read_one(path, paths) for name, path in sorted(paths.items())}


def _read_one(path: str, paths: dict[str, str]) -> Source:
  ours, others = set(), set()
  for node in ast.walk(ast.parse((ROOT / path).read_text())):
    for name in _imports(node):
      if name.split(".")[0] in FOLDERS:
        ours.add(name if name in paths else name.rpartition(".")[0])
      elif path.startswith("bin/") and f"bin.{name}" in paths:  # Python's path begins with bin/
        ours.add(f"bin.{name}")
      else:
        others.add(name.split(".")[0])
  return Source(path, tuple(sorted(ours - {module_name(path)})), tuple(sorted(others)))


def _imports(node: ast.AST) -> list[str]:
  """Names that may be modules: "a.b" for "import a.b", and for "from a import b"."""
  if isinstance(node, ast.Import):
    return [alias.name for alias in node.names]
  if isinstance(node, ast.ImportFrom):
    assert node.level == 0, "Imports are absolute here."
    return [f"{node.module}.{alias.name}" for alias in node.names]
  if isinstance(node, ast.Call) and ast.unparse(node.func) == "programs.load":
    return [f"bin.{node.args[0].value}"]  # tests load the programs of bin/ by their path
  return []
