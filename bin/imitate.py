"""Teaches an optimizer what Adam does: python bin/imitate.py --problem=cifar10 --out=runs/start"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.imitate()
