"""Scores optimizers on Keras models of many kinds: python bin/zoo.py --optimizer=mnist_lstm"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.zoo()
