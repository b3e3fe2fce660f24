"""Meta-trainings for tests of distribution: python -m tests.distributed_training STRATEGY OUT ...

Takes 20 meta-steps on 4 instances and writes phi to OUT (.npz). Further arguments are trainings of
their own: NAME={...}, a JSON object, changes the options and writes to OUT_NAME (.npz), or the
message of a `DistributionError` to OUT_NAME.txt. multi_worker needs TF_CONFIG.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf

from l2l_tf import optimizers
from l2l_tf import problems
from l2l_tf.config.training import Training
from l2l_tf.training import distribution as distribution_lib
from l2l_tf.training.evolution_trainer import EvolutionTrainer
from l2l_tf.training.meta_trainer import MetaTrainer

STEPS = 20
OPTIONS = {"num_tasks": 4, "num_steps": 8, "unroll_length": 4, "validation_runs": 2}


def train(distribution: distribution_lib.Distribution, **options) -> dict[str, np.ndarray]:
  """Returns phi, the last report, and the validation curve."""
  config = Training(episodes_per_epoch=STEPS, **(OPTIONS | options))
  with distribution.strategy.scope():
    optimizer = optimizers.CoordinatewiseLSTM((4,))
  kind = EvolutionTrainer if config.estimator == "es" else MetaTrainer
  trainer = kind(problems.quadratic(3), optimizer, config, distribution)
  for _ in range(STEPS):
    report = trainer.step()
  trainer.before_saving()
  saved = getattr(trainer, "_saved_carries", [])
  carries = [tf.nest.flatten(carry) for carry in saved]
  values = {f"phi_{i}": v.numpy() for i, v in enumerate(trainer.phi)}
  thetas = [carry[0].numpy() for carry in carries]  # [instances of the replica, 3]
  curve, _ = trainer.validate()
  report = np.array(report, np.float64)
  return values | {"report": report, "curve": curve, "theta": np.concatenate(thetas or [[]])}


def main(strategy: str, out: str, *others: str):
  """Runs the program."""
  if strategy == "mirrored":
    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
  distribution = distribution_lib.make(strategy)
  for name, _, options in ("={}".partition("="), *(other.partition("=") for other in others)):
    path = f"{out}_{name}" if name else out
    try:
      values = train(distribution, **json.loads(options))
    except distribution_lib.DistributionError as error:
      pathlib.Path(f"{path}.txt").write_text(str(error))
    else:
      about = {"replicas": distribution.num_replicas, "chief": distribution.is_chief}
      np.savez(f"{path}.npz", **about, **values)
  distribution.highest(0)  # so that none ends before the others


if __name__ == "__main__":
  main(*sys.argv[1:])
