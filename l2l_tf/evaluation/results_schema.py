"""The schema of results files (docs/results.md), as rules that check one."""

from typing import Any, Callable, NamedTuple, Optional

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
TEXT = Rule("a text", lambda v: isinstance(v, str))
TEXT_OR_NULL = Rule("a text or null", lambda v: v is None or isinstance(v, str))
COUNT = Rule("an integer of 0..2^31", lambda v: type(v) is int and 0 <= v <= 2**31)
NUMBER = Rule("a finite number", _is_number)
NUMBER_OR_NULL = Rule("a finite number or null", _is_number_or_null)
NUMBERS = Rule("an array of finite numbers and nulls", _are_numbers_or_null)
OBJECT = Rule("an object", lambda v: isinstance(v, dict))
ARRAY = Rule("an array", lambda v: isinstance(v, list))
_INTERVAL = _numbers_under("mean", "half")

_TOP = {
  "schema": _VERSION,
  "command": TEXT,
  "versions": OBJECT,
  "data": TEXT,
  "problem": OBJECT,
  "num_steps": COUNT,
  "num_runs": COUNT,
  "tuning_runs": COUNT,
  "seed": COUNT,
  "streams": OBJECT,
  "final_steps": COUNT,
  "learning_rates": NUMBERS,
  "optimizers": OBJECT,
  "best_rival": TEXT_OR_NULL,
  "ratios": ARRAY,
}
OPTIONAL = {"data_sha256": TEXT_OR_NULL}  # older files lack it
_SUMMARY = {
  "kind": Rule(f"one of {', '.join(KINDS)}", lambda v: v in KINDS),
  "mean": NUMBERS,
  "standard_error": NUMBERS,
  "mean_loss": _INTERVAL,
  "final_loss": _INTERVAL,
  "final_loss_quantiles": _numbers_under(*map(str, QUANTILES)),
  "final_losses": NUMBERS,
  "diverged": COUNT,
}
_RIVAL = _SUMMARY | {"learning_rate": NUMBER_OR_NULL, "tuning_final_losses": NUMBERS}
_FINALISTS = {"runs": COUNT, "learning_rates": NUMBERS, "final_losses": NUMBERS}
_LEARNED = _SUMMARY | {"source": TEXT, "sha256": TEXT}
_PAIR = {
  "numerator": TEXT,
  "denominator": TEXT,
  "ratio": NUMBER_OR_NULL,
  "low": NUMBER_OR_NULL,
  "high": NUMBER_OR_NULL,
  "wins": NUMBER,
}


def validate(results: Any):
  """Checks results against docs/results.md.

  Raises:
    ValueError: if a key is missing or unknown, or a value not what it must be.
  """
  check_object("the file", results, _TOP, OPTIONAL)
  for name, entry in results["optimizers"].items():
    what = f"the optimizer {name!r}"
    is_rival = isinstance(entry, dict) and entry.get("kind") == "rival"
    check_object(what, entry, *((_RIVAL, {"finalists": OBJECT}) if is_rival else (_LEARNED,)))
    if "finalists" in entry:
      check_object(f"'finalists' of {what}", entry["finalists"], _FINALISTS)
      rates, final = (len(entry["finalists"][key]) for key in ("learning_rates", "final_losses"))
      check(final == rates, f"the length of 'final_losses' in 'finalists' of {what}", rates, final)
    lengths = {
      "mean": results["num_steps"] + 1,
      "standard_error": results["num_steps"] + 1,
      "final_losses": results["num_runs"],
    }
    if is_rival:
      lengths["tuning_final_losses"] = len(results["learning_rates"])
    for key, length in lengths.items():
      received = len(entry[key])
      check(received == length, f"the length of {key!r} of {what}", str(length), received)
  _validate_pairs(results)


def _validate_pairs(results: dict[str, Any]):
  """Checks that what is compared is there."""
  names = results["optimizers"]
  rivals = [name for name, entry in names.items() if entry["kind"] == "rival"]
  best = results["best_rival"]
  check(best in (rivals or [None]), "'best_rival'", f"one of {rivals}, null without any", best)
  for pair in results["ratios"]:
    check_object("an element of 'ratios'", pair, _PAIR)
    for key in ("numerator", "denominator"):
      check(pair[key] in names, f"a {key}", f"one of {', '.join(names)}", pair[key])


def check_object(
  what: str, value: Any, rules: dict[str, Rule], optional: Optional[dict[str, Rule]] = None
):
  """Raises ValueError unless `value` has all keys of `rules`, no other but `optional` ones, and
  keeps the rules of both."""
  check(isinstance(value, dict), what, "an object", value)
  known = rules | (optional or {})
  for key in [*rules, *value]:
    check(key in value, f"{key!r} of {what}", "there", "nothing")
    check(key in known, f"a key of {what}", f"one of {', '.join(known)}", key)
    check(known[key].test(value[key]), f"{key!r} of {what}", known[key].expected, value[key])


def check(condition: bool, what: str, expected: Any, received: Any):
  """Raises ValueError, in words, unless `condition`."""
  if not condition:
    raise ValueError(f"{what} must be {expected}, got {received!r:.80}.")
