"""Draws the paper's figures from results files alone: python bin/figures.py"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.figures()
