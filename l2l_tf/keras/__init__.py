"""A trained optimizer as an optimizer of Keras, for fit and for loops."""

from l2l_tf import surroundings

surroundings.check_keras()
