"""Shows what an optimizer has learned: python bin/visualize.py --optimizer=mnist_lstm"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.visualize()
