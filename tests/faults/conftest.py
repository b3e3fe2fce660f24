"""Prints the table of faults after the tests that tried them."""

from tests.faults import table


def pytest_terminal_summary(terminalreporter):
  if table.THOROUGH and table.COUNTS:
    terminalreporter.section("faults")
    for line in table.lines():
      terminalreporter.write_line(line)
