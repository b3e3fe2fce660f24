"""The programs and their flags: nothing below knows that there is a command line."""
