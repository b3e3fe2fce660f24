"""Writes BUILD from the source files and their real imports: python -m tests.build_file > BUILD"""

import sys

from tests import sources

HEADER = '''"""One py_library a module, py_binary a program, py_test a test, and their imports.

Made by `python -m tests.build_file > BUILD`; build_test fails when it is not up to date.
"""

load("@rules_python//python:defs.bzl", "py_binary", "py_library", "py_test")

package(default_visibility = ["//visibility:public"])

licenses(["notice"])

exports_files(["LICENSE"])
'''

PIP_NAMES = {"absl": "absl-py", "sonnet": "dm-sonnet", "tensorflow_datasets": "tensorflow-datasets"}


def content() -> str:
  """Returns what BUILD should hold."""
  return "\n".join([HEADER, *(rule(source) for source in sources.read().values())])


def rule(source: sources.Source) -> str:
  """Returns the rule of one file. Packages of others are comments, as they come from pip."""
  target = source.path.removesuffix(".py")
  folder = source.path.split("/")[0]
  is_test = folder == "tests" and target.endswith("_test")
  is_library = folder in sources.PACKAGES or folder == "tests" and not is_test
  kind = "py_test" if is_test else "py_library" if is_library else "py_binary"
  files = ["tests/pytest_main.py", source.path] if is_test else [source.path]
  lines = [f"{kind}(", f'    name = "{target}",', f"    srcs = {_list(files)},"]
  if is_test:
    lines.append('    main = "tests/pytest_main.py",')
    lines.append(f'    args = ["$(location {source.path})"],')
  if target in ("tests/layering_test", "tests/build_test", "tests/api_test"):
    folders = [f"{folder}/**/*.py" for folder in sources.FOLDERS]
    lines.append(f'    data = glob({_list(folders)}) + ["BUILD"],')
  if source.path == "l2l_tf/pretrained/__init__.py":
    patterns = [f"l2l_tf/pretrained/**/*.{ending}" for ending in ("json", "safetensors", "md")]
    lines.append(f"    data = glob({_list(patterns)}, allow_empty = True),")
  deps = [f'        ":{_target(name)}",' for name in source.ours]
  deps += [
    f"        # pip: {PIP_NAMES.get(name, name)}"
    for name in source.others
    if name not in sys.stdlib_module_names
  ]
  lines += ["    deps = [", *deps, "    ],"] if deps else []
  return "\n".join([*lines, ")", ""])


def _list(items: list[str]) -> str:
  return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def _target(module: str) -> str:
  """The target of a module: its path without ".py"."""
  path = module.replace(".", "/")
  return f"{path}/__init__" if (sources.ROOT / path).is_dir() else path


if __name__ == "__main__":
  print(content(), end="")
