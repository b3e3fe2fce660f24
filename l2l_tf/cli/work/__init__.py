"""What the programs do once their flags are right: here TensorFlow is needed."""
