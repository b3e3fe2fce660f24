"""Tests of the BUILD files, read as Bazel would: what they hold of Starlark is Python too."""

import pathlib
import re
import sys

import pytest

from tests import sources

FILES = sorted(f for f in sources.ROOT.glob("*/BUILD")) + [sources.ROOT / "BUILD"]
FIRST_LINE = "# Bazel cannot be run on the machines that this project is developed on"
PIP_NAMES = {"absl": "absl_py", "sonnet": "dm_sonnet", "PIL": "pillow", "skimage": "scikit_image"}
PIP_NAMES |= {"sklearn": "scikit_learn"}


def targets(path: pathlib.Path) -> dict[str, dict]:
  """The rules of a BUILD file by their label, each with its `kind` and lists of labels."""
  folder, found = path.parent, {}
  package = "" if folder == sources.ROOT else folder.name

  def label(text: str) -> str:
    if text.startswith("@"):
      return text
    if text.startswith("//"):
      return text if ":" in text else f"{text}:{text[2:]}"
    return f"//{package}:{text.removeprefix(':')}"

  def rule(kind):
    def define(name, srcs=(), data=(), deps=(), **_):
      lists = {"srcs": srcs, "data": data, "deps": deps}
      made = {key: [label(text) for text in texts] for key, texts in lists.items()}
      assert found.setdefault(label(name), made | {"kind": kind})["kind"] == kind

    return define

  def glob(include, exclude=()):
    def paths(patterns):
      patterns = [f"{p}/*" if p.endswith("**") else p for p in patterns]
      every = {f for pattern in patterns for f in folder.glob(pattern)}
      others = {f.parent for f in FILES if f.parent != folder and folder in f.parents}
      own = {f for f in every if f.is_file() and not others & set(f.parents)}
      return {f.relative_to(folder).as_posix() for f in own if "__pycache__" not in f.parts}

    found = sorted(paths(include) - paths(exclude))
    assert found, f"No file of {folder} is like {include}."
    return found

  ignored = dict.fromkeys(["load", "package", "licenses", "exports_files"], lambda *_, **__: None)
  kinds = {kind: rule(kind) for kind in ("py_library", "py_binary", "py_test", "filegroup")}
  exec(compile(path.read_text(), str(path), "exec"), {"glob": glob, **ignored, **kinds})
  return found


TARGETS = {name: made for path in FILES for name, made in targets(path).items()}
DECLARED = {
  re.match(r"[\w-]+", text)[0].lower().replace("-", "_")
  for text in re.findall(r'"([\w-]+(?:[<>=][^"]*)?)"', (sources.ROOT / "setup.py").read_text())
}


@pytest.mark.parametrize("path", [*FILES, sources.ROOT / "MODULE.bazel"], ids=str)
def test_the_first_line_says_that_nobody_ran_it(path):
  assert path.read_text().startswith(FIRST_LINE)


def test_every_source_file_is_in_a_rule_of_python():
  paths = [*(source.path for source in sources.read().values()), sources.STAND_IN]
  rules = [made for made in TARGETS.values() if made["kind"] != "filegroup"]
  listed = {text for made in rules for text in made["srcs"]}
  listed |= {text for name in listed & TARGETS.keys() for text in TARGETS[name]["srcs"]}
  wanted = {"//" + (path.replace("/", ":", 1) if "/" in path else f":{path}") for path in paths}
  assert wanted <= listed


@pytest.mark.parametrize("name", TARGETS)
def test_a_rule_names_nothing_absent(name):
  for text in [*TARGETS[name]["srcs"], *TARGETS[name]["data"], *TARGETS[name]["deps"]]:
    package, _, target = text.partition(":")
    if text.startswith("@pip//"):
      assert text.removeprefix("@pip//") in DECLARED
    else:
      assert text in TARGETS or (sources.ROOT / package[2:] / target).is_file()


@pytest.mark.parametrize("folder", ["l2l_tf", "benchmarks", "examples", "tests"])
def test_the_rules_of_a_folder_name_all_that_it_imports(folder):
  rules = [made for name, made in TARGETS.items() if name.startswith(f"//{folder}:")]
  named = {text.removeprefix("@pip//") for made in rules for text in made["deps"]}
  imported = {o for n, s in sources.read().items() if n.split(".")[0] == folder for o in s.others}
  imported -= sys.stdlib_module_names
  assert {PIP_NAMES.get(name, name) for name in imported} <= named


def test_programs_and_tests_have_rules_of_their_kind():
  assert TARGETS["//bin:train"]["kind"] == "py_binary"
  test = TARGETS["//tests:optimizers/lstm_test"]
  assert test["kind"] == "py_test" and test["deps"] == ["//tests:tests"]
  assert "//tests:optimizers/lstm_test.py" in test["srcs"]
  library = TARGETS["//l2l_tf:l2l_tf"]
  assert "//l2l_tf:optimizers/lstm.py" in library["srcs"]
  assert "//l2l_tf:pretrained/mnist_lstm/optimizer.safetensors" in library["data"]
