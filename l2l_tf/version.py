"""The version of l2l_tf: its one home, from which setup.py reads it, too."""

VERSION = "0.2.0"
