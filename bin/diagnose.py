"""Why does it not learn? python bin/diagnose.py --optimizer=mnist_lstm --activation=relu"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.diagnose()
