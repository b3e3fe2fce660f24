"""Why does it not learn? python bin/diagnose.py --optimizer=mnist_lstm --problem=module:factory"""

import l2l_programs

if __name__ == "__main__":
  l2l_programs.diagnose()
