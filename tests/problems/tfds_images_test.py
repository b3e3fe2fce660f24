"""Tests of content photographs from TFDS: a data set prepared here, CIFAR-10 where it is."""

import os
import urllib.request

import numpy as np
import pytest
import tensorflow_datasets as tfds

from l2l_tf import problems
from l2l_tf.problems import base
from l2l_tf.problems import photographs
from l2l_tf.problems import tfds_images
from tests import tiny_vgg

NUMBER = 130


def pictures(number=NUMBER):
  """Pictures of one colour that no other has, of different shapes."""
  return [np.full((36 + i % 3, 40, 3), [i, 255 - i, 7], np.uint8) for i in range(number)]


def prepare(folder, images, name="tiny", shape=(None, None, 3), split="train", feature="image"):
  """Writes a prepared copy, which TFDS reads without code of the data set's."""
  tfds.dataset_builders.store_as_tfds_dataset(
    name=name,
    version="1.0.0",
    features=tfds.features.FeaturesDict({feature: tfds.features.Image(shape=shape)}),
    split_datasets={split: [(i, {feature: image}) for i, image in enumerate(images)]},
    data_dir=str(folder),
    disable_shuffling=True,
  )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  """`TFDS_DATA_DIR`, empty; and no network."""
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
  monkeypatch.setattr(urllib.request, "urlopen", None)
  return tmp_path


def colours(images):
  """The first pixel's red, which numbers the picture."""
  return [int(red) for red in images[:, 0, 0, 0]]


def test_a_prepared_set_is_cut_and_split_by_photograph(folder):
  prepare(folder, pictures())
  found = photographs.load("tfds:tiny", 32)
  assert found.counts == (10, 20, 100) and found.images.shape == (130, 32, 32, 3)
  assert found.images.dtype == np.uint8 and sorted(colours(found.images)) == list(range(130))
  for image, number in zip(found.images, colours(found.images), strict=True):
    np.testing.assert_array_equal(image, np.broadcast_to(pictures()[number][0, 0], image.shape))
  assert found.source.startswith("10 + 20 + 100 images of TFDS tiny 1.0.0 at 32 x 32 (")
  assert colours(found.images) == colours(photographs.load("tfds:tiny:1.0.0", 40).images)


def test_the_examples_alone_decide_the_order(folder):
  """Not how they were shuffled when they were prepared; and more of them move few."""
  prepare(folder, pictures(), "straight")
  prepare(folder, pictures()[::-1], "turned")
  prepare(folder, pictures(160), "more")
  straight, turned, more = (
    photographs.load(f"tfds:{name}", 32) for name in ("straight", "turned", "more")
  )
  np.testing.assert_array_equal(straight.images, turned.images)
  ranks = [number for number in colours(more.images) if number < NUMBER]
  assert ranks == colours(straight.images)  # those that are there already keep their order
  assert colours(straight.images) not in (list(range(130)), list(range(130))[::-1])


def test_equal_grey_and_small_images_are_left_out(folder):
  """Of two equal ones, one could be in the test and the other in meta-training."""
  grey = [np.full((40, 40, 3), i, np.uint8) for i in range(5)]
  small = [np.full((31, 80, 3), [i, 0, 0], np.uint8) for i in range(5)]
  prepare(folder, [*grey, *pictures()[:60], *small, *pictures()])
  found = photographs.load("tfds:tiny", 32)
  assert found.counts == (10, 20, 100) and sorted(colours(found.images)) == list(range(130))


def test_too_few_photographs(folder):
  prepare(folder, [*pictures(120), np.full((40, 40, 3), 9, np.uint8)])
  words = "Of the first 121 images of TFDS tiny 1.0.0, 120 are different ones .* at least 121"
  with pytest.raises(problems.DataError, match=words):
    photographs.load("tfds:tiny", 32)


def test_no_more_than_the_limit_is_read(folder, monkeypatch):
  monkeypatch.setattr(photographs, "MAX_TFDS", 125)
  prepare(folder, pictures())
  found = photographs.load("tfds:tiny", 32)
  assert found.counts == (5, 20, 100) and set(colours(found.images)) == set(range(125))
  images, _ = tfds_images.load("tiny", 3)
  assert [int(image[0, 0, 0]) for image in images] == [0, 1, 2]


@pytest.mark.parametrize(
  "name, words",
  [
    ("no_such_set", "TFDS knows no data set no_such_set, and {folder} holds none of that name"),
    ("imagenette", "no prepared TFDS copy of imagenette in {folder}.*tfds build imagenette"),
    ("imagenet_resized/64x64", "no prepared TFDS copy of imagenet_resized/64x64 in {folder}"),
    ("cifar10/none", "Cannot read the TFDS data set cifar10/none in {folder}"),
    ("huggingface:mnist", "'huggingface:mnist' is not the name of a TFDS data set"),
    ("../tiny", "'../tiny' is not the name of a TFDS data set"),
    ("", "'' is not the name of a TFDS data set, such as imagenette"),
  ],
)
def test_unknown_and_unprepared_sets_are_errors_of_one_line(folder, name, words):
  with pytest.raises(problems.DataError, match=words.format(folder=folder)) as info:
    photographs.load(f"tfds:{name}", 32)
  assert "\n" not in str(info.value)


def test_a_wrong_variable_is_an_error_of_one_line(tmp_path, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nowhere"))
  with pytest.raises(problems.DataError) as info:
    photographs.load("tfds:tiny", 32)
  words = f"There is no folder {tmp_path}/nowhere, which TFDS_DATA_DIR names. Prepare it with `tfds"
  assert str(info.value).startswith(words) and "\n" not in str(info.value)


@pytest.mark.parametrize(
  "options, words",
  [
    ({"shape": (40, 40, 1)}, r"are uint8 \[40, 40, 1\]; red, green and blue are needed"),
    ({"shape": (40, 40, 4)}, r"are uint8 \[40, 40, 4\]; .* not transparent"),
    ({"split": "test"}, "has no split 'train'; it has test"),
    ({"feature": "picture"}, "has no feature image that is one; it has picture"),
  ],
)
def test_sets_of_something_else_are_errors_of_one_line(folder, options, words):
  channels = options.get("shape", (3,))[-1]
  prepare(folder, [np.zeros((40, 40, channels), np.uint8)] * 2, **options)
  with pytest.raises(problems.DataError, match=f"TFDS tiny {words}") as info:
    photographs.load("tfds:tiny", 32)
  assert "\n" not in str(info.value)


def test_a_damaged_copy_is_an_error_of_one_line(folder):
  prepare(folder, pictures())
  (path,) = folder.glob("tiny/1.0.0/*tfrecord*")
  path.write_bytes(path.read_bytes()[:2000])
  with pytest.raises(problems.DataError, match="Cannot read the TFDS data set tiny in") as info:
    photographs.load("tfds:tiny", 32)
  assert "\n" not in str(info.value)


PREPARED = os.environ.get("TFDS_DATA_DIR", "")


@pytest.mark.skipif(
  not os.path.isdir(os.path.join(PREPARED, "cifar10")),
  reason="TFDS_DATA_DIR names no folder with cifar10",
)
def test_a_real_prepared_set(monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", PREPARED)
  found = photographs.load("tfds:cifar10", 32)
  assert found.source.startswith("1849 + 20 + 100 images of TFDS cifar10 3.0.2 at 32 x 32 (")
  assert found.images.shape == (1969, 32, 32, 3)  # of 2,000, 31 are grey
  assert len(np.unique(found.images.reshape(1969, -1), axis=0)) == 1969
  originals = {image.tobytes() for image in problems.load("cifar10", "train").images}
  assert all(image.tobytes() in originals for image in found.images)  # 32 x 32: not resized
  problem = problems.style_transfer(found, tiny_vgg.style(), tiny_vgg.network())
  (seed,) = problem.seeds(0, base.Stream.TEST, count=1)
  assert seed[0] == 1869
  params, task = problem.init(seed)
  assert 1e2 < float(problem.loss(params, task, seed)) < 1e6
