"""Time series: forecasts of the next step."""

import csv

import keras
from keras import layers
import numpy as np

from l2l_tf.zoo import data
from l2l_tf.zoo.task import Data
from l2l_tf.zoo.task import define

FAMILY = "time_series"
LENGTH = 24


@data.cached
def eeg() -> Data:
  """800 steps of an electroencephalogram with 4 channels, each of mean 0 and deviation 1."""
  series = np.fromfile(data.matplotlib_sample("eeg.dat")).reshape(800, 4)
  series = ((series - series.mean(0)) / series.std(0)).astype(np.float32)
  return data.windows(series[np.newaxis], LENGTH, "Matplotlib's eeg.dat")


@data.cached
def elevation() -> Data:
  """Profiles of a landscape from west to east, a series each; mean 0 and deviation 1 over all."""
  path = data.matplotlib_sample("jacksboro_fault_dem.npz")
  with np.load(path, allow_pickle=False) as archive:
    heights = archive["elevation"].astype(np.float32)
  heights = (heights - heights.mean()) / heights.std()
  return data.windows(heights[::4, :, np.newaxis], LENGTH, "Matplotlib's jacksboro_fault_dem.npz")


@data.cached
def prices() -> Data:
  """Monthly prices of shares and indices in dollars and points, up to 10,000 and more."""
  with open(data.matplotlib_sample("Stocks.csv"), encoding="utf-8") as file:
    rows = list(csv.reader(line for line in file if not line.startswith("#")))
  names = ("IBM", "AAPL", "MSFT", "XRX", "AMZN", "ADBE", "^GSPC", "^IXIC")
  columns = [rows[0].index(name) for name in names]
  months = [[row[c] for c in columns] for row in rows[1:]]
  months = np.array([month for month in months if all(month)], np.float32)
  return data.windows(months[np.newaxis], 12, "Matplotlib's Stocks.csv")


@define(
  FAMILY,
  "Four channels of an EEG, dilated causal convolutions, squared error times 1,000",
  eeg,
  32,
  metric="mae",
)
def eeg_convolutions(optimizer):
  inputs = keras.Input([LENGTH, 4])
  x = inputs
  for dilation in (1, 2, 4):
    x = layers.Conv1D(16, 3, dilation_rate=dilation, padding="causal", activation="relu")(x)
  model = keras.Model(inputs, layers.Dense(4)(x[:, -1]))
  model.compile(optimizer, "mse", loss_weights=1000.0, metrics=["mae"])
  return model


@define(FAMILY, "The next height of a profile, an LSTM of 24 units", elevation, 32, metric="mae")
def elevation_lstm(optimizer):
  model = keras.Sequential([keras.Input([LENGTH, 1]), layers.LSTM(24), layers.Dense(1)])
  model.compile(optimizer, "mse", metrics=["mae"])
  return model


@define(
  FAMILY,
  "Eight prices from the twelve months before, unnormalized, 1-D convolutions, mean abs. % error",
  prices,
  32,
  metric="loss",
  long=True,
)
def prices_raw(optimizer):
  model = keras.Sequential(
    [
      keras.Input([12, 8]),
      layers.Conv1D(16, 3, activation="relu"),
      layers.MaxPooling1D(),
      layers.Conv1D(16, 3, activation="relu"),
      layers.Flatten(),
      layers.Dense(8),
    ]
  )
  model.compile(optimizer, "mape")
  return model


TASKS = (eeg_convolutions, elevation_lstm, prices_raw)
