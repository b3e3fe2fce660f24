#!/bin/sh
# Computes the committed results again:
#
#   sh results/reproduce.sh                      lists the names
#   sh results/reproduce.sh mnist_100 quadratic  runs these
#   sh results/reproduce.sh all                  runs all: days of one core
#
# New files go to $OUT, runs/reproduced, so that no committed file is replaced. These variables say where things are:
#
#   PYTHON         the interpreter, .venv/bin/python
#   TFDS_DATA_DIR  prepared TensorFlow Datasets copies: `tfds build mnist cifar10` makes them
#   CONTENT        a folder of photographs. Ours were 1,000 of ImageNet, one a class
#   STYLES         a folder with van_gogh_starry_night.jpg, hokusai_great_wave.jpg, munch_the_scream.jpg and turner_shipwreck.jpg
#   SCIKIT_IMAGE   the folder of scikit-image's pictures, .venv/lib/python3.11/site-packages/skimage/data
#   PEERS          a folder with the weights of another implementation: docs/results.md, "A peer's weights". Without it its rows are left out
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
OUT=${OUT:-runs/reproduced}
SCIKIT_IMAGE=${SCIKIT_IMAGE:-.venv/lib/python3.11/site-packages/skimage/data}
wanted=" $* "

names=$(sed -n 's/^asked \([^ ]*\) .*/\1/p' results/reproduce.sh)
if [ $# = 0 ]; then
  echo "$names"
  exit 0
fi
for name in "$@"; do
  if [ "$name" != all ] && ! echo "$names" | grep -qxF "$name"; then
    echo "There is no result $name. Without a name this lists all." >&2
    exit 2
  fi
done

asked() { # NAME: whether the command line names it
  case "$wanted" in *" $1 "* | *" all "*) echo "== $1" >&2 ;; *) return 1 ;; esac
}

evaluate() { # NAME FLAGS...
  name=$1
  shift
  "$PYTHON" bin/evaluate.py --out="$OUT/$name.json" "$@"
}

visualize() { # NAME FLAGS...
  name=$1
  shift
  "$PYTHON" bin/visualize.py --out="$OUT/visualizations/$name.json" "$@"
}

art() { # PROGRAM NAME STYLE FLAGS...: neural art on photographs of $CONTENT
  program=$1
  name=$2
  style=$3
  shift 3
  "$program" "$name" --problem=neural_art --num_steps=128 --optimizer=neural_art_lstm --vgg=hed \
    --content_dir="${CONTENT:?names the folder of photographs}" --style="${STYLES:?names the folder of styles}/$style" "$@"
}

lbfgs() { # SIZE STYLE FLAGS...
  size=$1
  style=$2
  shift 2
  "$PYTHON" -m benchmarks.lbfgs --out="$OUT/lbfgs_$size.json" --size="$size" --against="results/neural_art_$size.json" --vgg=hed \
    --content_dir="${CONTENT:?names the folder of photographs}" --style="${STYLES:?names the folder of styles}/$style" "$@"
}

styles() { # the three paintings that no optimizer was trained on, and seven pictures of scikit-image
  for style in hokusai_great_wave.jpg munch_the_scream.jpg turner_shipwreck.jpg; do
    printf '%s,' "${STYLES:?names the folder of styles}/$style"
  done
  for style in ihc.png hubble_deep_field.jpg retina.jpg astronaut.png chelsea.png coffee.png; do
    printf '%s,' "$SCIKIT_IMAGE/$style"
  done
  echo "$SCIKIT_IMAGE/rocket.jpg"
}

with_peers() { # FLAGS...: of an evaluation, its peers' rows too
  first=${PEERS:-}/l2o_training_techniques_dm
  [ -z "${PEERS:-}" ] && echo "The peers' rows are left out: PEERS names no folder of their weights." >&2
  evaluate "$@" ${PEERS:+"--peer=$first.npz,${first}_aug.npz"}
}

benchmark() { # NAME FLAGS...
  name=$1
  shift
  "$PYTHON" -m "benchmarks.$name" --out="$OUT/$name.json" "$@"
}

zoo() { # NAME FLAGS...: into a folder of its own
  name=$1
  shift
  "$PYTHON" bin/zoo.py --results="$OUT/$name" "$@"
}

quadratics() { # NAME FLAGS...
  evaluate "$@" --problem=quadratic --num_runs=2000 \
    --optimizer=quadratic_lstm,quadratic_lstm_gac,quadratic_ntm_bfgs,quadratic_ntm_lbfgs
}

phis() { # NAME FLAGS...: each optimizer of the quadratics trained three times, seeds 0 (shipped), 1 and 2
  names=
  for kind in lstm lstm_gac ntm_bfgs ntm_lbfgs; do
    names=$names,quadratic_$kind,results/quadratic_phis/quadratic_${kind}_1,results/quadratic_phis/quadratic_${kind}_2
  done
  evaluate "$@" --problem=quadratic --num_runs=2000 --tuning_runs=2000 --optimizer="${names#,}"
}

mnist_phis() { # NAME FLAGS...: the shipped phi, and two that results/mnist_phis/train.sh trained
  evaluate "$@" --problem=mnist --num_runs=100 --optimizer=mnist_lstm,results/mnist_phis/mnist_lstm_1,results/mnist_phis/mnist_lstm_2
}

half_orthogonal() { # NAME FLAGS...
  evaluate "$@" --problem=mnist --optimizer=mnist_lstm,results/half_orthogonal --user_optimizer=benchmarks.half_orthogonal:lstm --num_runs=100
}

step_control() { # NAME FLAGS...
  evaluate "$@" --problem=mnist --optimizer=results/step_control --user_optimizer=benchmarks.step_control:lstm --num_runs=100
}

general() { # NAME FLAGS...
  evaluate "$@" --optimizer=general,mnist_lstm --transfer --num_runs=20 --tuning_runs=5
}

stablehlo() { # exported programs beside JAX's own, on JAX's first device
  paths=
  for case in meta_step_1_1 meta_step_1_16 meta_step_1_64 meta_step_1_128 meta_step_7_1 meta_step_7_16 meta_step_7_256 meta_step_7_4096 \
    evolution_1_1 evolution_1_16 evolution_1_256 evolution_1_4096 evolution_7_1 evolution_7_16 evolution_7_256 evolution_7_4096; do
    program=${case%_*_*}
    sizes=${case#"${program}_"}
    "$PYTHON" -m benchmarks.export_stablehlo --program="$program" --pooling="${sizes%_*}" --num_tasks="${sizes#*_}" --out="$OUT/$case"
    paths="$paths $OUT/$case"
  done
  # shellcheck disable=SC2086  # words
  "$PYTHON" -m benchmarks.implementations.run_stablehlo $paths --repeats=10 --out="$OUT/run_stablehlo.json"
}

mkdir -p "$OUT"

# Section 3.1, quadratics: some minutes each.
asked quadratic && quadratics quadratic --tuning_runs=2000
asked quadratic_2d && quadratics quadratic_2d --tuning_runs=2000 --dimensions=2
asked quadratic_20d && quadratics quadratic_20d --tuning_runs=2000 --dimensions=20
asked quadratic_50d && quadratics quadratic_50d --tuning_runs=2000 --dimensions=50
asked quadratic_200 && quadratics quadratic_200 --tuning_runs=2000 --num_steps=200
asked quadratic_phis && phis quadratic_phis
asked quadratic_phis_200 && phis quadratic_phis_200 --num_steps=200

# Section 3.2, MNIST: about five minutes each.
asked mnist_100 && with_peers mnist_100 --optimizer=mnist_lstm --num_runs=100
asked mnist_200 && with_peers mnist_200 --optimizer=mnist_lstm --num_runs=100 --num_steps=200
asked mnist_40 && evaluate mnist_40 --optimizer=mnist_lstm --num_runs=100 --hidden=40
asked mnist_2x20 && evaluate mnist_2x20 --optimizer=mnist_lstm --num_runs=100 --hidden=20,20
asked mnist_relu && evaluate mnist_relu --optimizer=mnist_lstm --num_runs=100 --activation=relu
asked mnist_100_test && evaluate mnist_100_test --optimizer=mnist_lstm --num_runs=100 --split=test
asked mnist_phis_100 && mnist_phis mnist_phis_100
asked mnist_phis_200 && mnist_phis mnist_phis_200 --num_steps=200
asked mnist_phis_40 && mnist_phis mnist_phis_40 --hidden=40
asked mnist_phis_2x20 && mnist_phis mnist_phis_2x20 --hidden=20,20
asked mnist_phis_relu && mnist_phis mnist_phis_relu --activation=relu
asked mnist_phis_100_test && mnist_phis mnist_phis_100_test --split=test
asked half_orthogonal_100 && half_orthogonal half_orthogonal_100
asked half_orthogonal_200 && half_orthogonal half_orthogonal_200 --num_steps=200
asked step_control_100 && step_control step_control_100
asked step_control_200 && step_control step_control_200 --num_steps=200
asked step_control_40 && step_control step_control_40 --hidden=40
asked step_control_2x20 && step_control step_control_2x20 --hidden=20,20
asked step_control_relu && step_control step_control_relu --activation=relu
asked modern_rivals && benchmark modern_rivals
asked many_passes && benchmark many_passes # 40 minutes
asked general_mnist_100 && general general_mnist_100
asked general_mnist_200 && general general_mnist_200 --num_steps=200
asked general_mnist_40 && general general_mnist_40 --hidden=40
asked general_mnist_2x20 && general general_mnist_2x20 --hidden=20,20
asked general_mnist_relu && general general_mnist_relu --activation=relu

# Section 3.3, CIFAR-10: two hours of one core each.
asked cifar10_train && evaluate cifar10_train --problem=cifar10 --split=train --num_steps=1000 --num_runs=10 --tuning_runs=1 \
  --optimizer=cifar10_conv_fc,cifar10_lstm
asked cifar10_test && evaluate cifar10_test --problem=cifar10 --split=test --num_steps=1000 --num_runs=10 --tuning_runs=1 \
  --optimizer=cifar10_conv_fc,cifar10_lstm

# Section 3.4, neural art: two hours and more of one core each.
asked neural_art_64 && art evaluate neural_art_64 van_gogh_starry_night.jpg --size=64 --num_runs=100 --tuning_runs=2 --finalist_runs=8
asked neural_art_128 && art evaluate neural_art_128 hokusai_great_wave.jpg --size=128 --num_runs=10 --tuning_runs=1
asked neural_art_styles && "$PYTHON" -m benchmarks.neural_art --out="$OUT/neural_art_styles.json" --vgg=hed --num_runs=6 \
  --content_dir="${CONTENT:?names the folder of photographs}" --styles="$(styles)"
asked neural_art_photographs && "$PYTHON" -m benchmarks.neural_art --out="$OUT/neural_art_photographs.json" --vgg=hed --num_runs=100 \
  --size=128 --learning_rate=1.048576 \
  --content_dir="${CONTENT:?names the folder of photographs}" --styles="${STYLES:?names the folder of styles}/hokusai_great_wave.jpg"
asked neural_art_256 && "$PYTHON" -m benchmarks.neural_art --out="$OUT/neural_art_256.json" --vgg=hed --num_runs=4 \
  --size=256 --learning_rate=1.048576 \
  --content_dir="${CONTENT:?names the folder of photographs}" --styles="${STYLES:?names the folder of styles}/hokusai_great_wave.jpg"
asked neural_art_512 && "$PYTHON" -m benchmarks.neural_art --out="$OUT/neural_art_512.json" --vgg=hed --num_runs=3 \
  --size=512 --learning_rate=1.048576 \
  --content_dir="${CONTENT:?names the folder of photographs}" --styles="${STYLES:?names the folder of styles}/hokusai_great_wave.jpg"
asked lbfgs_64 && lbfgs 64 van_gogh_starry_night.jpg --num_runs=20
asked lbfgs_128 && lbfgs 128 hokusai_great_wave.jpg --num_runs=6

# Section 4: what the optimizers have learned.
asked visualizations/quadratic_lstm && visualize quadratic_lstm --optimizer=quadratic_lstm --problem=quadratic
asked visualizations/mnist_lstm && visualize mnist_lstm --optimizer=mnist_lstm --problem=mnist
asked visualizations/neural_art_lstm && art visualize neural_art_lstm van_gogh_starry_night.jpg --size=64 \
  --rates_from=results/neural_art_64.json --coordinates='image[0,0,0],image[0,0,1],image[0,0,2]'

# The benchmark: hours of two cores.
asked zoo && zoo zoo --full
asked zoo_general && zoo zoo_general --optimizer=general
asked zoo_general@ema && zoo zoo_general@ema --optimizer=general@ema
asked zoo_cifar10_lstm@odd && zoo zoo_cifar10_lstm@odd --optimizer=cifar10_lstm@odd,mnist_lstm@odd --horizon=100,1000 --seeds=2
asked zoo_mnist_lstm@odd && zoo zoo_mnist_lstm@odd --optimizer=cifar10_lstm@odd,mnist_lstm@odd --horizon=100,1000 --seeds=2
asked general_plain/zoo && zoo general_plain --optimizer=results/general_plain
asked general_lstm/zoo && zoo general_lstm --optimizer=results/general_lstm --horizon=100,1000 --seeds=2
asked general_second/zoo && zoo general_second --optimizer=results/general_second

asked step_control && "$PYTHON" -m benchmarks.step_control_search --generations=29 --out="$OUT/step_control"

# What a training promises, and what each part of the general rule is worth.
asked quick_seeds && benchmark quick_seeds --cases=digits,digits_variants,mnist,quadratic
asked quick_seeds_cifar10 && "$PYTHON" -m benchmarks.quick_seeds --cases=cifar10_0,cifar10_1,cifar10_2 --out="$OUT/quick_seeds_cifar10.json"
asked quick_seeds_neural_art && "$PYTHON" -m benchmarks.quick_seeds --cases=neural_art_0,neural_art_1,neural_art_2 --out="$OUT/quick_seeds_neural_art.json"
asked general_ablation && "$PYTHON" -m benchmarks.ablation --meta_steps=1000 --phis=2 --runs_a_task=2 --out="$OUT/general_ablation.json"
asked general_rules && "$PYTHON" -m benchmarks.rules --out="$OUT/general_rules.json"

# Time and memory, and Keras: on an idle machine.
asked against_rivals && benchmark against_rivals
asked coordinates && benchmark coordinates
asked double_backprop && benchmark double_backprop
asked evolution_steps && benchmark evolution_steps
asked exact_line_search && benchmark exact_line_search
asked flat_memory && benchmark flat_memory
asked forward_step && benchmark forward_step
asked grid && benchmark grid --data=bundled
asked grid_cifar10 && "$PYTHON" -m benchmarks.grid --out="$OUT/grid_cifar10.json" --problem=cifar10 --data=tfds --num_steps=20 --tuning_runs=1
asked grid_neural_art && "$PYTHON" -m benchmarks.grid --out="$OUT/grid_neural_art.json" --problem=neural_art --vgg=hed --num_steps=128 --tuning_runs=1 # 15 minutes
asked instances && benchmark instances
asked keras_cost && benchmark keras_cost --repeats=20
asked keras_experiments && benchmark keras_experiments
asked wide_layers && benchmark wide_layers
asked limited_memory && benchmark limited_memory
asked long_unrolls && benchmark long_unrolls
asked run_stablehlo && stablehlo # on a GPU: the 4,096 instances take 94 GiB
asked state_dtype && benchmark state_dtype
asked training_steps && benchmark training_steps --repeats=1
asked tuning_ways && benchmark tuning_ways
asked tensorboard_cost && benchmark tensorboard_cost --epochs=8 --repeats=1

# Pictures, from the committed JSON files alone; Figure 6 from bundled photographs.
asked figures && "$PYTHON" bin/figures.py --out="$OUT/figures"
asked figure_6_64 && "$PYTHON" bin/triples.py --vgg=hed --size=64 --style="${STYLES:?names the folder of styles}" \
  --out="$OUT/figure_6_64.png"  # of three styles: Hokusai's wave, Munch's scream, van Gogh's night
asked figure_6_128 && "$PYTHON" bin/triples.py --vgg=hed --size=128 --num_rows=2 --style="${STYLES:?names the folder of styles}/hokusai_great_wave.jpg" \
  --out="$OUT/figure_6_128.png"
asked learned_optimizer && "$PYTHON" -m benchmarks.animation --out="$OUT/learned_optimizer.gif"
true
