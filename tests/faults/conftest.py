"""Prints the table of faults after the tests that tried them, in one process or in several."""

import pytest

from tests.faults import table


def pytest_sessionfinish(session):
  if hasattr(session.config, "workeroutput"):  # of a worker of pytest-xdist
    session.config.workeroutput["faults"] = table.COUNTS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
  output = getattr(node, "workeroutput", None)
  table.add(
    output["faults"] if output else {f"a test process that crashed ({node.gateway.id})": (1, 0)}
  )


def pytest_terminal_summary(terminalreporter):
  if table.THOROUGH and table.COUNTS:
    terminalreporter.section("faults")
    for line in table.lines():
      terminalreporter.write_line(line)
