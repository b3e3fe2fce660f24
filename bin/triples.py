"""Draws the triples of Figure 6: python bin/triples.py --size=64"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.triples()
