"""What is shipped: each optimizer can be loaded and has a card that says what it is for."""

import re
import shlex

import pytest

import l2l_tf
from l2l_tf import pretrained
from l2l_tf.cli import experiment_flags
from l2l_tf.config import experiment as experiment_lib
from l2l_tf.config.training import Training
from l2l_tf.training import imitation
from tests import programs

train, imitate = programs.load("train"), programs.load("imitate")
PROGRAMS = {"train": train, "imitate": imitate}

SAID = ["- **Trained** for ", "- **Works** ", "- **Does not work** "]


@pytest.fixture
def shipped(tmp_path, monkeypatch):
  """One optimizer with a card in a directory of pretrained ones."""
  monkeypatch.setattr(pretrained, "_HERE", str(tmp_path))
  optimizer = l2l_tf.optimizers.CoordinatewiseLSTM((3,))
  l2l_tf.save_optimizer(str(tmp_path / "tiny_lstm"), optimizer, {})
  (tmp_path / "tiny_lstm" / "README.md").write_text("# tiny_lstm\n", encoding="utf-8")
  (tmp_path / "no_optimizer").mkdir()
  return tmp_path


def test_names_directories_and_cards(shipped):
  assert pretrained.list() == ["tiny_lstm"]
  assert pretrained.find("tiny_lstm") == pretrained.directory("tiny_lstm")
  assert pretrained.find("tiny_lstm") == str(shipped / "tiny_lstm")
  assert pretrained.card("tiny_lstm") == "# tiny_lstm\n"
  assert l2l_tf.LearnedOptimizer("tiny_lstm").learned.layer_sizes == (3,)


def test_a_directory_comes_before_a_name(shipped, monkeypatch):
  monkeypatch.chdir(shipped)
  assert pretrained.find("tiny_lstm") == "tiny_lstm"
  assert pretrained.find(shipped) == str(shipped)


@pytest.mark.parametrize("name", ["adam", "", "no_optimizer", "../tiny_lstm"])
def test_unknown_names_are_told_the_known(shipped, name):
  with pytest.raises(ValueError, match="pretrained: tiny_lstm"):
    pretrained.find(name)
  with pytest.raises(ValueError, match="pretrained: tiny_lstm"):
    pretrained.card(name)


@pytest.mark.parametrize("name", pretrained.list())
def test_each_has_a_card_and_a_horizon(name):
  card = pretrained.card(name)
  assert card.startswith(f"# {name}\n")
  assert all(words in card for words in SAID)
  optimizer = l2l_tf.LearnedOptimizer(name)
  assert f"**Trained** for {optimizer.horizon} steps" in card


def test_the_commands_of_a_general_one_are_those_it_was_trained_by():
  """Those of `benchmarks`, which a card beside the others has: seconds, seed, place."""
  card = pretrained.card("general")
  _, about = l2l_tf.load_optimizer(pretrained.directory("general"))
  seconds, seed = re.search(r"evolve.py runs/evolution phi (\d+) --seed=(\d+)", card).groups()
  index = re.search(r"import_evolution --phi=phi.npz --index=(\d) ", card).group(1)
  images, starts = (
    re.search(f"--{name}=(\\d+)", card).group(1) for name in ("num_images", "num_starts")
  )
  evolution, training = about["evolution"], about["experiment"]["training"]
  assert float(seconds) == evolution["seconds"]
  assert int(seed) + int(index) == training["seed"]
  assert (int(images), int(starts)) == (evolution["num_images"], evolution["num_starts"])
  assert f"{training['episodes_per_epoch']:,} meta-steps" in card
  assert about["history"][-1]["meta_steps"] == training["episodes_per_epoch"]


def _expanded(command):
  """Its words, with the folders of images where they were."""
  folders = {"$CONTENT": "../shared/images/content", "$STYLES": "../shared/images/style"}
  for name, folder in folders.items():
    command = command.replace(name, folder)
  return shlex.split(command)


@pytest.mark.parametrize("name", [name for name in pretrained.list() if name != "general"])
def test_the_commands_of_the_card_are_those_it_was_trained_by(name):
  """The card's commands, first to last, against the config's chain of trainings, last to first."""
  commands = re.findall(r"python bin/(train|imitate).py ([^\n`]*)", pretrained.card(name))
  _, about = l2l_tf.load_optimizer(pretrained.directory(name))
  for program, command in reversed(commands):
    flags = PROGRAMS[program].make_flags().parse([program, *_expanded(command)])
    if program == "train":
      given, recorded = experiment_flags.experiment(flags).to_dict(), about["experiment"]
    else:
      given = experiment_lib.describe(**experiment_flags.parts(flags, imitation.Imitation))
      recorded = about["imitation"]
    for group in given:  # what is newer than the training has its default
      expected = {key: value for key, value in given[group].items() if key in recorded[group]}
      assert expected == {key: recorded[group][key] for key in expected}
    if program == "train":  # what has other names today
      given, recorded = given["training"], Training.from_dict(recorded["training"])
      assert given["meta_gradient"] == recorded.meta_gradient
      assert given["learning_rate_decay"] == pytest.approx(recorded.learning_rate_decay, rel=1e-5)
    about = about.get("init_from")
  assert commands and about is None
