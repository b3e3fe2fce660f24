"""What the benchmark is, in numbers and names: families, horizons, seeds, who is run on what."""

BENCHMARK_VERSION = 1  # of the tasks, the order of minibatches and the scores together
TRAINING_FAMILIES = ("dense_classification", "dense_regression", "autoencoders")
HELD_OUT_FAMILIES = (
  *("convolutional", "recurrent_text", "attention", "embeddings", "time_series"),
  *("metric_learning", "mixed_precision", "fine_tuning"),
)
PUBLISHED = "published"  # the family of the problems that others defined, scored on their own
FAMILIES = (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES, PUBLISHED)
HORIZONS = (100, 1000, 10000)
SEEDS = {100: 5, 1000: 3, 10000: 2}
REACH = {100: 10, 1000: 4, 10000: 4}
"""How many times as many steps the rivals are run that speed-ups are measured against."""
PUBLISHED_HORIZON = 10000  # at which others scored theirs
PUBLISHED_SEEDS = 1
PUBLISHED_RIVALS = (
  *("Adam", "Muon", "ScheduleFreeAdamW", "Prodigy", "NAdamWCosine", "Celo", "CeloAdam", "general"),
)
PUBLISHED_LARGE = "ImageMLP_Cifar10_128x128x128_"  # how five are called that take 30 ms a step
LARGE_RIVALS = ("Adam", "general")  # on those; Celo takes 0.1 s a step there
PUBLISHED_CUT = ("Conv_Cifar10_32x64x64", "Conv_Cifar10_32x64x64_batchnorm")  # 0.1 s a step
METRICS = ("loss", "speed_up", "held_out")
