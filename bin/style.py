"""Paints a photograph in the style of another: python bin/style.py --content=photo.jpg ..."""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.style()
