"""Broken copies of a file: bytes flipped, cut, repeated; values of JSON replaced by odd ones."""

from collections.abc import Iterator
import copy
import json
import random
from typing import Any

ODD = [None, True, -1, 0, 2**63, 10**400, 1e308, -0.0, float("nan"), float("inf"), "", "../../x"]
ODD += ["/etc/passwd", "os:abort", "\x00", "x" * 5000, [], {}, [[]], {"": None}, [1] * 3000]
ODD += ["partition", "lstm", [2**24, 2**24], [0], {"kind": "lstm"}, {"name": "rescale"}, "\ud800"]


def mutants(seed: bytes, count: int, key: int = 0) -> Iterator[bytes]:
  """Yields `count` broken copies of `seed`, the same ones for the same `key`."""
  dice = random.Random(key)
  try:
    document = json.loads(seed)
  except ValueError:
    document = None
  for _ in range(count):
    if document is not None and dice.random() < 0.7:
      broken = json.loads(seed)
      for _ in range(dice.choice([1, 1, 2, 3])):
        broken = _replaced(broken, dice)
      yield json.dumps(broken).encode()
    else:
      yield _damaged(seed, dice)


def _replaced(value: Any, dice: random.Random) -> Any:
  """`value` with one of the values in it replaced, renamed or removed."""
  if not isinstance(value, (dict, list)) or not value or dice.random() < 0.15:
    return copy.deepcopy(dice.choice(ODD))
  key = dice.choice(list(value) if isinstance(value, dict) else range(len(value)))
  action = dice.random()
  if action < 0.08:
    del value[key]
  elif action < 0.16 and isinstance(value, dict):
    value[str(dice.choice(ODD))[:100]] = value[key]
  else:
    value[key] = _replaced(value[key], dice)
  return value


def _damaged(seed: bytes, dice: random.Random) -> bytes:
  data = bytearray(seed)
  for _ in range(dice.choice([1, 1, 2, 8])):
    at, length = dice.randrange(len(data) + 1), dice.choice([1, 2, 4, 8, 100])
    action = dice.randrange(5)
    if action == 0:
      data[at : at + length] = dice.randbytes(length)
    elif action == 1:
      del data[at : at + length]
    elif action == 2:
      data[at:at] = data[:length]
    elif action == 3:
      data[at : at + length] = dice.choice([b"\xff", b"\x00"]) * length
    elif at < len(data):
      data[at] ^= 1 << dice.randrange(8)
  return bytes(data)
