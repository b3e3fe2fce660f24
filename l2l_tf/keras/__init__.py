"""A trained optimizer as an optimizer of Keras, for fit and for loops."""

from l2l_tf import keras_backend  # noqa: F401  first
