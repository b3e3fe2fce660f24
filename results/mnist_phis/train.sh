#!/bin/sh
# Trains `mnist_lstm` once more, from other random numbers: its seven phases, each from the best phi of the one before.
#
#   sh results/mnist_phis/train.sh 1   leaves runs/mnist_phis/1/7/best: results/mnist_phis/mnist_lstm_1
#   sh results/mnist_phis/train.sh 2   likewise mnist_lstm_2
#
# An hour and a half of one core each, with `l2l-compile` done before. The seeds are those of the published phi (0, 0, 1, 2, 4, 5 and 5) plus ten
# times the argument. Each phase is stopped after the epoch in which that of the published phi was best: l2l_tf/pretrained/mnist_lstm/README.md.
# A training that was stopped goes on with the same command. PYTHON is the interpreter; TFDS_DATA_DIR has MNIST.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-.venv/bin/python}
case "${1:-}" in
  [1-9]) ;;
  *)
    echo "Name the training, 1 to 9, got '${1:-}': sh results/mnist_phis/train.sh 1" >&2
    exit 2
    ;;
esac
runs=${RUNS:-runs/mnist_phis}/$1
tens=$1
mkdir -p "$runs"
trap 'kill -TERM ${!:-} 2>/dev/null || true; wait; exit 130' INT TERM # the training does not hear of Ctrl-C itself

phase() { # PHASE EPOCHS SEED FLAGS...: of a number of epochs that --num_epochs and its cosine do not end with
  run=$runs/$1
  epochs=$2
  seed=$tens$3
  before=$runs/$(($1 - 1))/best
  [ "$1" -gt 1 ] && set -- "$@" --init_from="$before"
  shift 3
  [ -e "$run.done" ] && return
  if [ -e "$run/config.json" ]; then
    set -- --resume
  else
    set -- --problem=mnist --preset=paper --seed="$seed" "$@"
  fi
  "$PYTHON" bin/train.py --run_dir="$run" --tuning_runs=0 "$@" >>"$run.log" 2>&1 &
  until grep -q "^Epoch $epochs of" "$run.log"; do
    if ! kill -0 $! 2>/dev/null && ! grep -q "^Epoch $epochs of" "$run.log"; then
      echo "$run ended before epoch $epochs: $run.log says why." >&2
      exit 1
    fi
    sleep 1
  done
  kill -TERM $! 2>/dev/null || true # or it has ended
  wait $! || true                   # 143: stopped
  touch "$run.done"
  grep "^Epoch $epochs of" "$run.log"
}

phase 1 12 0 --pooling=2 --unroll_length=20 --num_epochs=60 --episodes_per_epoch=100 --meta_gradient=sampled:300
phase 2 35 0 --unroll_length=20 --learning_rate=2e-3 --learning_rate_decay=0.005 --num_epochs=55 --episodes_per_epoch=40 \
  --meta_gradient=sampled:300
phase 3 22 1 --unroll_length=100 --learning_rate=1e-3 --learning_rate_decay=0.1 --num_epochs=40 --episodes_per_epoch=50 \
  --meta_gradient=sampled:1000
phase 4 28 2 --margin=4 --unroll_length=100 --learning_rate=1e-3 --learning_rate_decay=0.01 --max_gradient_norm=100 --num_epochs=45 \
  --episodes_per_epoch=200 --meta_gradient=sampled:500
long() { # PHASE EPOCHS SEED FLAGS...: for 200 steps
  phase "$@" --margin=4 --num_steps=200 --unroll_length=100 --loss_weight_power=1 --validation_runs=30
}
long 5 4 4 --learning_rate=1e-3 --learning_rate_decay=0.01 --max_gradient_norm=100 --num_epochs=26 --episodes_per_epoch=100 \
  --meta_gradient=sampled:1000
long 6 1 5 --num_tasks=4 --learning_rate=5e-4 --learning_rate_decay=0.02 --num_epochs=24 --episodes_per_epoch=40 --meta_gradient=sampled:1000
long 7 6 5 --meta_gradient=second_derivatives --learning_rate=3e-4 --learning_rate_decay=0.0333333 --max_gradient_norm=100 \
  --num_epochs=12 --episodes_per_epoch=40
