"""The package problems/ at the top of a checkout, under a name that cannot collide with a user's.

A wheel has problems/ itself in this place (setup.py). The package knows itself by this name only;
`import problems` gives the same modules.
"""

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SPEC: Any = importlib.util.spec_from_file_location(
  __name__, os.path.join(_ROOT, "problems", "__init__.py")
)
sys.modules[__name__] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules[__name__])

if TYPE_CHECKING:

  def __getattr__(name: str) -> Any: ...  # checkers do not follow the other name
