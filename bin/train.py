"""Meta-trains an optimizer: python bin/train.py --problem=mnist"""

from l2l_tf.cli import train

if __name__ == "__main__":
  train.run()
