"""What a user can mend: each room's errors of that kind, which programs tell in one line."""


class ExpectedError(Exception):
  """Something received cannot be used; the message says what it was and how to mend it."""
