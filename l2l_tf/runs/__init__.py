"""Run directories: training with checkpoints, signals, TensorBoard, random search."""
