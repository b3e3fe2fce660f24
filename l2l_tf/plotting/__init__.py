"""Pictures and curves in the terminal, made of numbers alone."""
