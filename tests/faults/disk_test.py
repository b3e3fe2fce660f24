"""A full disk and missing permissions, from any operation of bin/train.py on files on."""

import random

import pytest

from tests.faults import table
from tests.faults import victims

pytestmark = [table.thorough, victims.needs_compiler]


@pytest.mark.parametrize("kind", ["ENOSPC", "EACCES"])
def test_errors_of_the_disk(tmp_path, kind):
  library = victims.preload(tmp_path)
  undisturbed, directory = str(tmp_path / "undisturbed"), str(tmp_path / "run")
  operations = victims.operations(
    "train", *victims.train_args(undisturbed), directory=undisturbed, library=library, kind=kind
  )
  dice = random.Random(kind)
  for _ in range(table.trials(0, 10)):
    number = dice.randint(1, operations)
    with table.trial({"ENOSPC": "disk full", "EACCES": "permission denied"}[kind]):
      status, out, err = victims.run(
        "train",
        *victims.train_args(directory),
        fault=f"{kind}:{number}:{directory}",
        library=library,
      )
      victims.assert_nothing_half_written(directory)
      assert "Traceback" not in err, f"{number}: {err[-3000:]}"
      lines = [line for line in err.splitlines() if "train.py: " in line]
      assert status == 0 or (status == 1 and len(lines) == 1 and directory in lines[0]), (
        number,
        err,
      )
  status, _, err = victims.run("train", *victims.train_args(directory))
  assert status == 0, err
  victims.assert_same_state(directory, victims.final_state(undisturbed))
