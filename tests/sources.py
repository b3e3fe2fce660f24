"""What the source files are and what they import, read without running them."""

import ast
import functools
import pathlib
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("l2l_tf", "problems", "bin", "benchmarks", "examples", "tests")
LOADERS = {  # functions that import a module by a part of its name
  "programs.load": "l2l_tf.cli.{}",
  "programs.work": "l2l_tf.cli.work.{}",
  "startup.load": "{}",
}
TOP = ("l2l_tf_tensorboard.py",)  # modules that lie in no folder
STAND_IN = "l2l_tf/problems/__init__.py"  # of a checkout, for problems/__init__.py


class Source(NamedTuple):
  path: str  # from the root, "l2l_tf/unroll.py"
  ours: tuple[str, ...]  # the modules of ours that it imports, sorted: "l2l_tf.problems.base"
  others: tuple[str, ...]  # the top-level packages of others, sorted, standard library included


def module_name(path: str) -> str:
  """Returns "l2l_tf.unroll" for "l2l_tf/unroll.py", and the package for its __init__."""
  path = f"l2l_tf/{path}" if path.startswith("problems/") else path
  return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@functools.cache
def read() -> dict[str, Source]:
  """Returns every source file by its module's name, sorted."""
  files = [f.relative_to(ROOT) for folder in FOLDERS for f in (ROOT / folder).rglob("*.py")]
  names = [*TOP, *(f.as_posix() for f in files)]
  paths = {module_name(name): name for name in names if name != STAND_IN}
  return {name: _read_one(path, paths) for name, path in sorted(paths.items())}


def strings(path: str) -> list[str]:
  """Returns the strings of a source file but its docstrings; an f-string is one, with {} in it."""
  tree, found = ast.parse((ROOT / path).read_text()), []
  apart = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
  for node in ast.walk(tree):
    if isinstance(node, ast.JoinedStr):
      apart.update(node.values)
      found.append("".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in apart:
      found.append(node.value)
  return found


def _read_one(path: str, paths: dict[str, str]) -> Source:
  ours, others = set(), set()
  for node in ast.walk(ast.parse((ROOT / path).read_text())):
    for name in _imports(node):
      if name in paths:
        ours.add(name)
      elif name.rpartition(".")[0] in paths:
        ours.add(name.rpartition(".")[0])
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
  if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
    name = LOADERS.get(ast.unparse(node.func))
    return [name.format(node.args[0].value)] if name else []
  return []
