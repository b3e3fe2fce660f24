"""Files: written whole or not at all; trained optimizers, finished parts, where numbers come from."""
