"""Compares trained optimizers with tuned rivals: python bin/evaluate.py --optimizer=mnist_lstm"""

from l2l_tf.cli import evaluate

if __name__ == "__main__":
  evaluate.run()
