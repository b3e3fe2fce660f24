"""The flags of a program: parsed, grouped, listed with their defaults, checked in one line."""

from collections.abc import Callable, Collection, Iterable, Sequence
import difflib
import functools
import os
import re
from typing import Any, Literal, get_args, get_origin

from absl import flags
from pydantic.fields import FieldInfo

from l2l_tf.cli import paths
from l2l_tf.config import optimizers as optimizer_options
from l2l_tf.config import problems as problem_options
from l2l_tf.config.options import PATH
from l2l_tf.config.options import Options
from l2l_tf.config.user_code import is_name
from l2l_tf.storage import labels

OPEN = (problem_options.PROBLEMS, problem_options.SINGLE, optimizer_options.OPTIMIZERS)
"""Tables of ours beside which a user may have a `module:factory`."""


class UsageError(Exception):
  """The command line is wrong; the message says what was received and what is allowed."""


class _IntTupleParser(flags.ArgumentParser):
  """Parses "20,20"."""

  syntactic_help = "integers separated by commas"

  def parse(self, argument):
    if isinstance(argument, tuple):
      return argument
    try:
      return tuple(int(part) for part in argument.split(","))
    except ValueError as error:
      raise ValueError("integers separated by commas expected, like 20,20") from error


class _ListParser(flags.ArgumentParser):
  """Parses "a,b"; a flag given several times adds up."""

  syntactic_help = "names separated by commas"

  def parse(self, argument):
    return tuple(part.strip() for part in argument.split(",") if part.strip())


class _PathParser(flags.ArgumentParser):
  """Parses a path."""

  def parse(self, argument):
    return paths.expanded(argument)


class _PathListParser(_ListParser):
  """Parses "a,b"; what is there under the whole name, commas and all, is one."""

  def parse(self, argument):
    whole = os.path.exists(labels.split_label(paths.expanded(argument))[1])
    return tuple(map(paths.expanded, [argument] if whole else super().parse(argument)))


class _ChoiceParser(flags.EnumParser):
  """Parses one of some names; of another one it says which is like it."""

  def parse(self, argument):
    try:
      return super().parse(argument)
    except ValueError as error:
      like = difflib.get_close_matches(argument, self.enum_values, n=1)
      raise ValueError(f"{error}{f'; did you mean {like[0]}?' if like else ''}") from error


class _UsersToo(_ChoiceParser):
  """Parses the name of a problem or an optimizer of ours, or "module:factory" of the user's."""

  def __init__(self, names: Iterable[str]):
    super().__init__([*names, "MODULE:FACTORY"])

  def parse(self, argument):
    return argument if is_name(argument) else super().parse(argument)


class Flags:
  """The flags of one program; knows which were given."""

  def __init__(self, description: str):
    self._description = description
    self._values = flags.FlagValues()
    self._groups: list[tuple[str, list[tuple[str, Callable[[], str]]]]] = []
    self._bounds: dict[str, tuple[float, float]] = {}
    self._read: list[str] = []  # names of flags
    self._written: list[str] = []
    self.group("General")
    self.add(bool, "help", False, "show this help; its defaults go with the choices beside it")

  def group(self, title: str):
    """Starts a group of flags in the help."""
    self._groups.append((title, []))

  def add(
    self,
    kind: Any,
    name: str,
    default: Any,
    text: str,
    choices: Collection[str] | None = None,
    bounds: tuple[float, float] | None = None,
  ):
    """Adds a flag of type bool, int, float, str, Optional[str], tuple[int or str, ...].

    What names a file or a directory is of type `paths.Read`, tuple[paths.Read, ...] or
    `paths.Written`, in place of str. Both bounds of a number are allowed.
    """
    values = self._values
    if bounds:
      self._bounds[name] = bounds
    serializer: flags.ArgumentSerializer[Any] = flags.ArgumentSerializer()
    if kind in (paths.Read, tuple[paths.Read, ...]):
      self._read.append(name)
    elif kind is paths.Written:
      self._written.append(name)
    if kind is bool:
      flags.DEFINE_bool(name, default, text, flag_values=values)
    elif kind is int:
      flags.DEFINE_integer(name, default, text, flag_values=values)
    elif kind is float:
      flags.DEFINE_float(name, default, text, flag_values=values)
    elif kind in paths.KINDS:
      flags.DEFINE(_PathParser(), name, default, text, values, serializer)
    elif kind == tuple[int, ...]:
      flags.DEFINE(_IntTupleParser(), name, default, text, values, serializer)
    elif kind in (tuple[str, ...], tuple[paths.Read, ...]):
      parser = _ListParser() if kind == tuple[str, ...] else _PathListParser()
      flags.DEFINE_multi(parser, serializer, name, default, text, flag_values=values)
    elif any(choices is table for table in OPEN):
      flags.DEFINE(_UsersToo(choices or ()), name, default, text, values, serializer)
    elif choices:
      flags.DEFINE(_ChoiceParser(list(choices)), name, default, text, values, serializer)
    else:
      flags.DEFINE_string(name, default, text, flag_values=values)
    self._groups[-1][1].append((name, lambda: _with_default(text, default)))

  def add_options(self, kind: type[Options], defaults: Callable[..., Options]):
    """Adds a flag for each field that has none yet. Not given, it is None.

    Args:
      kind: whose fields they are.
      defaults: takes these flags and returns the values that the help shows.
    """
    rows = self._groups[-1][1]
    for name, field in kind.flags().items():
      if name not in self._values:
        kind_, choices = _kind_of(field)
        self.add(kind_, name, None, "", choices)
        rows.pop()
      meaning = str(field.description)
      rows.append((name, functools.partial(self._option_text, name, meaning, defaults)))

  def _option_text(self, name: str, text: str, defaults: Callable[..., Options]) -> str:
    return _with_default(text, getattr(defaults(self), name))

  def parse(self, argv: Sequence[str]) -> "Flags":
    """Parses `argv`, program name first.

    Raises:
      UsageError: for an unknown flag, a value of the wrong type or out of bounds, a positional
        argument, or a file to write that is one to read.
      SystemExit: after printing the help, if it was asked for.
    """
    if isinstance(argv, CommandLine):
      argv.flags = self
    words = ["--help" if word == "-h" else word for word in argv[1:]]
    try:
      rest = self._values([*argv[:1], *words])
    except flags.Error as error:
      raise UsageError(" ".join(str(error).split())) from error
    if self._values.help:
      print(self.help_text())
      raise SystemExit(0)
    if len(rest) > 1:
      raise UsageError(f"Unexpected argument {rest[1]!r}; flags look like --problem=mnist.")
    for name, (low, high) in self._bounds.items():
      value = self._values[name].value
      if value is not None and not low <= value <= high:
        what = "an integer" if isinstance(value, int) else "a number"
        raise UsageError(f"--{name} must be {what} of {low}..{high}, got {value}.")
    for name in self._written:
      self.check_written(name, self._values[name].value)
    return self

  def check_written(self, name: str, path: str | None):
    """Raises UsageError if `path`, which the flag --`name` or its default writes, is read too."""
    if not path:
      return
    for flag in self._read:
      for source in _flat(self._values[flag].value):
        if paths.is_read_from(path, source):
          raise UsageError(
            f"--{name} must not replace what is read, got {path}, which is in --{flag}={source}."
          )

  def dashed(self, text: str) -> str:
    """What the library says in words of the command line: `run_dir` becomes --run_dir.

    What is no flag of this program stays as it is, in its backticks.
    """
    return re.sub(r"`(\w+)`", lambda m: f"--{m[1]}" if m[1] in self._values else m[0], text)

  def given(self) -> dict[str, Any]:
    """Returns the flags that the command line sets."""
    return {f: self._values[f].value for f in self._values if self._values[f].present}

  def __getattr__(self, name: str) -> Any:
    return self._values[name].value

  def help_text(self) -> str:
    """The flags by groups, with the defaults that go with the other flags that are given."""
    lines, shown = [self._description.strip()], set()
    for title, rows in self._groups:
      lines += ["", f"{title}:"] if rows else []
      texts = [(name, text()) for name, text in rows]
      lines += [f"  {self._form(row[0])}\n      {row[1]}" for row in texts if row not in shown]
      again = ", ".join(f"--{name}" for name, text in texts if (name, text) in shown)
      lines += [f"  and as above: {again}"] if again else []
      shown.update(texts)
    return "\n".join(lines)

  def _form(self, name: str) -> str:
    flag = self._values[name]
    choices = getattr(flag.parser, "enum_values", None)
    return f"--{name}" if flag.boolean else f"--{name}={'|'.join(choices) if choices else '...'}"


def _kind_of(field: FieldInfo) -> tuple[Any, tuple[str, ...] | None]:
  """The type of an option as `Flags.add` takes it, and the choices that there are."""
  if PATH in field.metadata:
    return paths.Read, None
  if get_origin(field.annotation) is Literal:
    return str, get_args(field.annotation)
  return tuple[int, ...] if get_origin(field.annotation) is tuple else field.annotation, None


def _flat(value: Any) -> list[str]:
  """The paths that a flag has: none, one, or groups of them."""
  if not value:
    return []
  return [value] if isinstance(value, str) else [path for group in value for path in group]


class CommandLine(list[str]):
  """The words that started a program; once it has parsed them, with the flags that it has."""

  flags: Flags | None = None

  def dashed(self, text: str) -> str:
    """What `Flags.dashed` makes of a message of this program."""
    return self.flags.dashed(text) if self.flags else text


def _with_default(text: str, default: Any) -> str:
  if default is None or default is False:
    return text
  if default is True:
    return f"{text}; default on"
  return f"{text}; default {','.join(map(str, default)) if isinstance(default, tuple) else default}"
