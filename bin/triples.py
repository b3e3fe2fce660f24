"""Draws the triples of Figure 6: python bin/triples.py --out=docs/figures/figure_6_64.png"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.triples()
