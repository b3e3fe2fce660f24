"""Rivals that Keras lacks, as Keras optimizers, each checked against the original."""
