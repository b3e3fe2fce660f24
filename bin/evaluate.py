"""Compares trained optimizers with tuned rivals: python bin/evaluate.py --optimizer=mnist_lstm"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.evaluate()
