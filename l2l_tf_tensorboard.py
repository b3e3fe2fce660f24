"""How TensorBoard finds the tab of l2l_tf: light to import, and never in the way of other tabs.

It stands outside of the package l2l_tf, whose import refuses a folder with a `keras.py` of the
user's (l2l_tf/surroundings.py): TensorBoard does not.
"""

import logging
from typing import Any

from tensorboard.plugins import base_plugin


class Loader(base_plugin.TBLoader):
  """What the entry point `tensorboard_plugins` names."""

  def load(self, context: base_plugin.TBContext) -> Any:
    """Returns the tab; None, with a warning, where something that it needs is missing."""
    try:
      from l2l_tf.view import tab
    except Exception as error:  # whatever it is, TensorBoard goes on
      logging.getLogger("tensorboard").warning("No tab of l2l_tf: %s", error)
      return None
    return tab.Tab(context)
