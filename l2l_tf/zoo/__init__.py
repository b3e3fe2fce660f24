"""The benchmark of optimizers without a setting: Keras models of many kinds, rivals, scores."""
