"""The interactive view of what an optimizer has learned: a file, and a tab of TensorBoard."""
