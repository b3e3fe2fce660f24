"""Shows what an optimizer has learned: python bin/visualize.py --optimizer=mnist_lstm"""

from l2l_tf.cli import visualize

if __name__ == "__main__":
  visualize.run()
