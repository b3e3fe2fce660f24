"""Why does it not learn? python bin/diagnose.py --optimizer=mnist_lstm --activation=relu"""

from l2l_tf.cli import diagnose

if __name__ == "__main__":
  diagnose.run()
