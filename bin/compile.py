"""Compiles the LSTM's cell for this machine: python bin/compile.py"""

from l2l_tf.cli import compile

if __name__ == "__main__":
  compile.run()
