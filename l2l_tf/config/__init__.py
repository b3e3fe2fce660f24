"""Every hyperparameter with its source in the paper: problems, optimizers, training, presets."""
