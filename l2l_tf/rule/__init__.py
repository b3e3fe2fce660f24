"""The general rule: one formula on the tensors of TensorFlow, JAX or PyTorch, and its weights."""
