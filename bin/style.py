"""Paints a photograph in the style of another: python bin/style.py --content=photo.jpg ..."""

from l2l_tf.cli import style

if __name__ == "__main__":
  style.run()
