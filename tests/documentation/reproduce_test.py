"""results/reproduce.sh has the command of every committed result."""

import json
import os
import pathlib
import shlex
import subprocess

import pytest

from tests import sources

SCRIPT = sources.ROOT / "results" / "reproduce.sh"
FOLDERS = {"CONTENT": "content_dir", "STYLES": "style", "PEERS": "peer"}
LEFT_OUT = {"out", "name", "results"}  # where it was written
OLDER = {  # whose command has no flags or a name of then, is none, or ran on another machine
  "results/general_lstm/config.json",
  "results/general_lstm_second/config.json",
  "results/general_plain/config.json",
  "results/half_orthogonal/config.json",
  "results/quick_seeds.json",
  "results/step_control/config.json",
  "results/general_plain/zoo.json",
  "results/general_second/choice.json",
  "results/general_second/config.json",
  "results/unfinished/general_first/config.json",
  "benchmarks/against_rivals_faster_machine.json",
  "benchmarks/against_rivals_slower_machine.json",
  "benchmarks/export_evolution.json",
  "benchmarks/forward_step_slower_machine.json",
  "benchmarks/grid_faster_machine.json",
  "benchmarks/run_stablehlo.json",
  "benchmarks/tensorboard_cost.json",
}
COMMITTED = [
  path.relative_to(sources.ROOT).as_posix()
  for folder in ("results", "benchmarks")
  for path in sorted((sources.ROOT / folder).rglob("*.json"))
  if not path.parent.parent.name.endswith("_phis")  # of trained optimizers, which say it otherwise
]


def flags(words: list[str]) -> dict[str, list[str]]:
  """The program and its flags: values of one that is given several times add up."""
  found = {"program": [word for word in words if not word.startswith("--")]}
  for word in words:
    if word.startswith("--"):
      name, _, value = word[2:].partition("=")
      values = [value] if name == "coordinates" else value.split(",")
      found.setdefault(name, []).extend(values)
  if found.pop("full", None):  # bin/zoo.py records it so
    found["optimizer"] = ["all", "tuned"]
  return {name: values for name, values in found.items() if name not in LEFT_OUT}


def printed(name: str, folder: pathlib.Path, recorded: dict[str, list[str]]) -> list[str]:
  """The words of the command that the script would run for a name."""
  python = folder / "python"
  python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
  python.chmod(0o755)
  given = {
    variable: recorded[flag][0] if variable == "CONTENT" else os.path.dirname(recorded[flag][0])
    for variable, flag in FOLDERS.items()
    if flag in recorded
  }
  if "styles" in recorded:
    ends = recorded["styles"][0], recorded["styles"][-1]
    given |= dict(zip(("STYLES", "SCIKIT_IMAGE"), map(os.path.dirname, ends)))
  environment = {"PATH": os.environ["PATH"], "PYTHON": str(python), "OUT": str(folder), **given}
  command = ["sh", str(SCRIPT), name]
  return subprocess.run(
    command, env=environment, capture_output=True, text=True, check=True
  ).stdout.splitlines()


@pytest.mark.parametrize("path", [p for p in COMMITTED if p not in OLDER])
def test_the_command_of_a_result_is_in_the_script(path, tmp_path):
  command = json.loads((sources.ROOT / path).read_text())["command"]
  _, *words = shlex.split(command)
  recorded = flags(words)
  name = path.partition("/")[2].removesuffix(".json")
  if recorded.get("optimizer") == ["all", "tuned"]:
    name = "zoo"
  found = flags(printed(name, tmp_path, recorded))
  assert found == recorded


def test_without_a_name_it_lists_all_and_of_another_it_says_so():
  listed = subprocess.run(["sh", str(SCRIPT)], capture_output=True, text=True, check=True).stdout
  assert {"mnist_100", "zoo", "figures", "visualizations/mnist_lstm"} <= set(listed.split())
  done = subprocess.run(["sh", str(SCRIPT), "zoo", "mnist"], capture_output=True, text=True)
  assert done.returncode == 2 and done.stderr.startswith("There is no result mnist. Without")


def test_a_folder_that_is_missing_is_said(tmp_path):
  environment = {"PATH": os.environ["PATH"], "PYTHON": "false", "OUT": str(tmp_path)}
  command = ["sh", str(SCRIPT), "neural_art_64"]
  done = subprocess.run(command, env=environment, capture_output=True, text=True)
  assert done.returncode != 0 and "CONTENT: names the folder of photographs" in done.stderr
