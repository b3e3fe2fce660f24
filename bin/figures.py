"""Draws the paper's figures from results files alone: python bin/figures.py"""

from l2l_tf.cli import figures

if __name__ == "__main__":
  figures.run()
