"""Fuzzes one of `readers.READERS`, guided by coverage: python -m tests.faults.fuzz NAME RUNS FOLDER

Inputs that lead to an error that is not documented, or take more than 2 GiB or ten seconds, end it
and are written into FOLDER. Needs `pip install atheris`.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import atheris

with atheris.instrument_imports(
  include=["l2l_tf.storage", "l2l_tf.config", "l2l_tf.problems.photographs", "PIL"]
):
  from l2l_tf.storage import optimizer_files  # noqa: F401
from tests.faults import cases
from tests.faults import readers


def main(name: str, runs: str, folder: str):
  """Runs the fuzzer; exits with another status than 0 at the first finding."""
  reader = readers.READERS[name]
  corpus = os.path.join(folder, "corpus")
  os.makedirs(corpus, exist_ok=True)
  for index, data in enumerate([reader.seed(), *cases.mutants(reader.seed(), 300)]):
    with open(os.path.join(corpus, str(index)), "wb") as file:
      file.write(data)
  limits = ["-rss_limit_mb=4096", "-malloc_limit_mb=2048", "-timeout=10", "-print_final_stats=1"]
  flags = [f"-runs={runs}", f"-artifact_prefix={folder}/", "-max_len=65536", "-verbosity=0"]
  atheris.Setup([sys.argv[0], *limits, *flags, corpus], lambda data: _try(reader, data))
  atheris.Fuzz()


def _try(reader: readers.Reader, data: bytes):
  reader.accepts(data)  # libFuzzer wants nothing returned


if __name__ == "__main__":
  main(*sys.argv[1:])
