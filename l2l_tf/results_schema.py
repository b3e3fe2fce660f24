"""The schema of results files (docs/results.md), as rules that check one."""

from typing import Any, Callable, NamedTuple

SCHEMA = 1
QUANTILES = (5, 25, 50, 75, 95)  # of the final loss, in percent
KINDS = ("learned", "peer", "rival")


class Rule(NamedTuple):
  """What a value must be, in words, and the test of it."""

  expected: str
  test: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
  return type(value) in (int, float) and abs(value) < 1e300  # finite, and no endless integer


def _is_number_or_null(value: Any) -> bool:
  return value is None or _is_number(value)


def _are_numbers_or_null(value: Any) -> bool:
  return isinstance(value, list) and all(map(_is_number_or_null, value))


def _numbers_under(*keys: str) -> Rule:
  return Rule(
    f"an object of finite numbers or nulls under {', '.join(keys)}",
    lambda v: isinstance(v, dict) and set(v) == set(keys) and _are_numbers_or_null([*v.values()]),
  )


_VERSION = Rule(f"{SCHEMA}, the schema that this program reads", lambda v: v == SCHEMA)
_TEXT = Rule("a text", lambda v: isinstance(v, str))
_TEXT_OR_NULL = Rule("a text or null", lambda v: v is None or isinstance(v, str))
_COUNT = Rule("an integer of 0..2^31", lambda v: type(v) is int and 0 <= v <= 2**31)
_NUMBER = Rule("a finite number", _is_number)
_NUMBER_OR_NULL = Rule("a finite number or null", _is_number_or_null)
_NUMBERS = Rule("an array of finite numbers and nulls", _are_numbers_or_null)
_OBJECT = Rule("an object", lambda v: isinstance(v, dict))
_ARRAY = Rule("an array", lambda v: isinstance(v, list))
_INTERVAL = _numbers_under("mean", "half")

_TOP = {
  "schema": _VERSION,
  "command": _TEXT,
  "versions": _OBJECT,
  "data": _TEXT,
  "problem": _OBJECT,
  "num_steps": _COUNT,
  "num_runs": _COUNT,
  "tuning_runs": _COUNT,
  "seed": _COUNT,
  "streams": _OBJECT,
  "final_steps": _COUNT,
  "learning_rates": _NUMBERS,
  "optimizers": _OBJECT,
  "best_rival": _TEXT_OR_NULL,
  "ratios": _ARRAY,
}
_SUMMARY = {
  "kind": Rule(f"one of {', '.join(KINDS)}", lambda v: v in KINDS),
  "mean": _NUMBERS,
  "standard_error": _NUMBERS,
  "mean_loss": _INTERVAL,
  "final_loss": _INTERVAL,
  "final_loss_quantiles": _numbers_under(*map(str, QUANTILES)),
  "final_losses": _NUMBERS,
  "diverged": _COUNT,
}
_RIVAL = _SUMMARY | {"learning_rate": _NUMBER, "tuning_final_losses": _NUMBERS}
_LEARNED = _SUMMARY | {"source": _TEXT, "sha256": _TEXT}
_PAIR = {
  "numerator": _TEXT,
  "denominator": _TEXT,
  "ratio": _NUMBER_OR_NULL,
  "low": _NUMBER_OR_NULL,
  "high": _NUMBER_OR_NULL,
  "wins": _NUMBER,
}


def validate(results: Any):
  """Checks results against docs/results.md.

  Raises:
    ValueError: if a key is missing or unknown, or a value not what it must be.
  """
  _check_object("the file", results, _TOP)
  for name, entry in results["optimizers"].items():
    what = f"the optimizer {name!r}"
    is_rival = isinstance(entry, dict) and entry.get("kind") == "rival"
    _check_object(what, entry, _RIVAL if is_rival else _LEARNED)
    lengths = {
      "mean": results["num_steps"] + 1,
      "standard_error": results["num_steps"] + 1,
      "final_losses": results["num_runs"],
    }
    if is_rival:
      lengths["tuning_final_losses"] = len(results["learning_rates"])
    for key, length in lengths.items():
      received = len(entry[key])
      _check(received == length, f"the length of {key!r} of {what}", str(length), received)
  _validate_pairs(results)


def _validate_pairs(results: dict[str, Any]):
  """Checks that what is compared is there."""
  names = results["optimizers"]
  rivals = [name for name, entry in names.items() if entry["kind"] == "rival"]
  best = results["best_rival"]
  _check(best in (rivals or [None]), "'best_rival'", f"one of {rivals}, null without any", best)
  for pair in results["ratios"]:
    _check_object("an element of 'ratios'", pair, _PAIR)
    for key in ("numerator", "denominator"):
      _check(pair[key] in names, f"a {key}", f"one of {', '.join(names)}", pair[key])


def _check_object(what: str, value: Any, rules: dict[str, Rule]):
  """Raises ValueError unless `value` has exactly the keys of `rules`, and keeps them."""
  _check(isinstance(value, dict), what, "an object", value)
  for key in [*rules, *value]:
    _check(key in value, f"{key!r} of {what}", "there", "nothing")
    _check(key in rules, f"a key of {what}", f"one of {', '.join(rules)}", key)
    _check(rules[key].test(value[key]), f"{key!r} of {what}", rules[key].expected, value[key])


def _check(condition: bool, what: str, expected: Any, received: Any):
  if not condition:
    raise ValueError(f"{what} must be {expected}, got {received!r:.80}.")
