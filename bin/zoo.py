"""Scores optimizers on Keras models of many kinds: python bin/zoo.py --optimizer=mnist_lstm"""

from l2l_tf.cli import zoo

if __name__ == "__main__":
  zoo.run()
