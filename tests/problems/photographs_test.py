"""Tests of content and style images: what is read, which photographs streams see, errors."""

import numpy as np
from PIL import Image
import pytest

from l2l_tf import problems
from l2l_tf.problems import photographs
from l2l_tf.problems.base import Stream
from l2l_tf.problems.base import make_seeds
from tests import tiny_vgg


def save(path, pixels, **options):
  Image.fromarray(pixels).save(path, **options)
  return str(path)


@pytest.fixture
def folder(tmp_path):
  """130 pictures, each of one colour that no other has, 40 x 36 pixels."""
  for i in range(130):
    save(tmp_path / f"{i:03}.png", np.full((36, 40, 3), [i, 255 - i, 7], np.uint8))
  (tmp_path / "notes.txt").write_text("no picture")
  return str(tmp_path)


def test_a_folder_is_split_by_photograph(folder):
  found = photographs.load(folder, 32)
  assert found.counts == (10, 20, 100) and found.images.shape == (130, 32, 32, 3)
  assert len(np.unique(found.images[:, 0, 0, 0])) == 130
  assert found.source.startswith("10 + 20 + 100 photographs of ")
  np.testing.assert_array_equal(photographs.load(folder, 32).images, found.images)


def test_more_photographs_leave_the_test_as_it_was(folder, tmp_path):
  """So that one more photograph does not move a test photograph into meta-training."""
  before = photographs.load(folder, 32).images[-120:, 0, 0, 0]
  (tmp_path / "079.png").rename(tmp_path / "other.png")
  after = photographs.load(folder, 32).images[-120:, 0, 0, 0]
  assert len(set(before) & set(after)) >= 119


def problem_of(pictures):
  return problems.Problem(lambda seed: None, lambda *_: None, indices=pictures.indices)


@pytest.mark.parametrize("entropy", [(0,), (5, 2)])
def test_streams_never_share_a_photograph(entropy):
  pictures = problem_of(tiny_vgg.pictures(counts=(4, 2, 3)))
  seed, more = entropy[0], entropy[1:]
  numbers = {s: pictures.seeds(seed, s, *more, count=200)[:, 0] for s in Stream}
  assert set(numbers[Stream.META_TRAINING]) == {0, 1, 2, 3}
  for stream in (Stream.VALIDATION, Stream.TUNING, Stream.DEVELOPMENT):
    assert set(numbers[stream]) == {4, 5}
  assert set(numbers[Stream.TEST]) == {6, 7, 8}
  assert list(numbers[Stream.TEST][:3]) == [6, 7, 8]  # none twice while there are others


def test_seeds_differ_where_those_of_other_problems_do():
  pictures = problem_of(tiny_vgg.pictures())
  for stream in Stream:
    seeds = pictures.seeds(3, stream, count=50)
    assert seeds.dtype == np.int32 and len(np.unique(seeds[:, 1])) == 50
    np.testing.assert_array_equal(seeds[:, 1], make_seeds(3, stream, count=50)[:, 1])
    np.testing.assert_array_equal(pictures.seeds(3, stream, count=20), seeds[:20])


def test_the_bundled_photographs_are_real_and_split_by_photograph(monkeypatch):
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  found = photographs.load(None, 32)
  assert found.counts == (800, 20, 100) and found.images.shape == (920, 32, 32, 3)
  assert "crops of 7 photographs bundled with scikit-image" in found.source
  groups = (photographs._BUNDLED_TRAIN, photographs._BUNDLED_VALIDATION, photographs._BUNDLED_TEST)
  names = [name for group in groups for name in group]
  assert len(set(names)) == len(names) == 7
  assert len(np.unique(found.images.reshape(920, -1), axis=0)) == 920
  assert found.images.std(axis=(1, 2)).mean() > 20  # pictures of something


def test_styles_keep_their_shape(tmp_path):
  path = save(tmp_path / "tall.png", np.full((90, 60, 3), 9, np.uint8))
  pixels, source = photographs.load_style(path, 40)
  assert pixels.shape == (60, 40, 3) and source.startswith("style tall.png (")
  bundled, source = photographs.load_style(None, 64)
  assert bundled.shape == (64, 64, 3) and source.startswith("style bundled scikit-image ihc.png")


def test_a_folder_of_styles(tmp_path):
  """Each keeps its shape; their names give the order, their pixels the digest."""
  folder = tmp_path / "paintings"
  folder.mkdir()
  with pytest.raises(problems.DataError, match="paintings holds no style image"):
    photographs.load_styles(str(folder), 40)
  wide = save(folder / "b.png", np.full((60, 90, 3), 7, np.uint8))
  tall = save(folder / "a.jpg", np.full((90, 60, 3), 9, np.uint8))
  (folder / "notes.txt").write_text("no picture")
  styles, source = photographs.load_styles(f"{folder}/", 40)
  assert [pixels.shape for pixels in styles] == [(60, 40, 3), (40, 60, 3)]
  for path, pixels in zip((tall, wide), styles, strict=True):
    one, described = photographs.load_style(path, 40)
    np.testing.assert_array_equal(one, pixels)
    (same,), source_of_one = photographs.load_styles(path, 40)
    np.testing.assert_array_equal(same, pixels)
    assert source_of_one == described
  assert source == photographs.load_styles(str(folder), 40)[1]
  assert source.startswith("2 styles of paintings (") and len(source.split("(")[1]) == 9
  save(folder / "b.png", np.full((60, 90, 3), 8, np.uint8))
  assert photographs.load_styles(str(folder), 40)[1] != source
  (folder / "c.png").write_text("not a picture")
  with pytest.raises(problems.DataError, match="Cannot read the image .*c.png"):
    photographs.load_styles(str(folder), 40)
  with pytest.raises(problems.DataError, match="is a folder; the style here is one picture"):
    photographs.load_style(str(folder), 40)


def test_images_are_read_upright_and_in_colour(tmp_path):
  pixels = np.zeros((40, 60, 3), np.uint8)
  pixels[:10] = 255
  exif = Image.Exif()
  exif[0x0112] = 6  # the camera was turned: the first row is the right-hand column
  turned = photographs.read(save(tmp_path / "turned.jpg", pixels, exif=exif, quality=95))
  assert turned.size == (40, 60) and np.asarray(turned)[:, 35].mean() > 250
  few = Image.fromarray(pixels).quantize(2)
  few.save(tmp_path / "few.gif")
  np.testing.assert_array_equal(photographs.read(str(tmp_path / "few.gif")), pixels)
  opaque = np.dstack([pixels, np.full((40, 60), 255, np.uint8)])
  np.testing.assert_array_equal(photographs.read(save(tmp_path / "opaque.png", opaque)), pixels)


def bad_image(kind, folder):
  path = folder / f"{kind}.png"
  if kind == "tiny":
    return save(path, np.zeros((31, 90, 3), np.uint8))
  if kind == "long":
    return save(path, np.zeros((32, 641, 3), np.uint8))
  if kind == "transparent":
    return save(path, np.full((40, 40, 4), 100, np.uint8))
  if kind == "deep":
    return save(path, np.full((40, 40), 1000, np.uint16))
  if kind == "grey":
    return save(path, np.full((40, 40), 100, np.uint8))
  if kind == "text":
    path.write_text("not a picture")
  if kind == "cut":
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    save(path, noise)
    path.write_bytes(path.read_bytes()[:4000])
  if kind == "folder":
    path.mkdir()
  return str(path)


@pytest.mark.parametrize(
  "kind, words",
  [
    ("tiny", "has 90 x 31 pixels; at least 32 a side"),
    ("long", "has 641 x 32 pixels; one side is more than 20 times the other"),
    ("transparent", "is transparent in places"),
    ("deep", "is a grey image"),
    ("grey", "is a grey image; colours are needed"),
    ("text", "Cannot read the image"),
    ("cut", "Cannot read the image"),
    ("folder", "Is a directory"),
    ("missing", "No such file or directory"),
  ],
)
def test_bad_images_are_errors_of_one_line(kind, words, tmp_path):
  path = bad_image(kind, tmp_path)
  with pytest.raises(problems.DataError, match=words) as info:
    photographs.read(path)
  assert path in str(info.value) and "\n" not in str(info.value)


def test_bad_folders_are_errors(tmp_path):
  with pytest.raises(problems.DataError, match="No such file or directory"):
    photographs.load(str(tmp_path / "none"), 32)
  save(tmp_path / "one.png", np.zeros((40, 40, 3), np.uint8))
  with pytest.raises(problems.DataError, match="holds 1 images, .* at least 121"):
    photographs.load(str(tmp_path), 32)
