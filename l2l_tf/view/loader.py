"""How TensorBoard finds the tab: light to import, and never in the way of the other tabs."""

import logging
from typing import Any

from tensorboard.plugins import base_plugin


class Loader(base_plugin.TBLoader):
  """What the entry point `tensorboard_plugins` names."""

  def load(self, context: base_plugin.TBContext) -> Any:
    """Returns the tab; None, with a warning, where something that it needs is not installed."""
    try:
      from l2l_tf.view import tab
    except Exception as error:  # whatever it is, TensorBoard goes on
      logging.getLogger("tensorboard").warning("No tab of l2l_tf: %s", error)
      return None
    return tab.Tab(context)
