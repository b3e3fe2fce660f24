"""Meta-trains an optimizer: python bin/train.py --problem=mnist"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.train()
