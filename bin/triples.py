"""Draws the triples of Figure 6: python bin/triples.py --size=64"""

from l2l_tf.cli import triples

if __name__ == "__main__":
  triples.run()
