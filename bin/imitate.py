"""Teaches an optimizer what Adam does: python bin/imitate.py --problem=mnist --out=runs/start"""

from l2l_tf.cli import imitate

if __name__ == "__main__":
  imitate.run()
