"""A trained optimizer as an optimizer of Keras, for fit and for loops."""
