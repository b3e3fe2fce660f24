"""Files, written whole or not at all: trained optimizers, finished parts, origins of numbers."""
