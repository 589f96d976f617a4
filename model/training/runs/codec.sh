#!/usr/bin/env bash
# Trains the audio codec from its texts to the ONNX files of codecs/weights: codebook and decoder, then encoder.
#
#     model/training/runs/codec.sh [--dry-run] TEXTS FOLDER [WEIGHTS]
#
#   --dry-run   print the commands instead of running them
#   TEXTS       folder with three folders of texts, which are only read:
#                 fortunes    Debian's package fortunes       (/usr/share/games/fortunes)
#                 wordnet     Debian's package wordnet-base   (/usr/share/wordnet)
#                 chatterbot  Python's package chatterbot-corpus (its folder data/english)
#   FOLDER      data, checkpoints and loss curves: about 3 GB
#   WEIGHTS     where the ONNX files go (default: FOLDER/weights; codecs/weights replaces those of the package)
#
# Resumes: each finished step leaves a file in FOLDER/done; a stopped one continues where it was. To repeat a step,
# remove its file there and its results. Runs from the checkout, after `make .venv/.ready-dev`, with the models
# piper-joe, kokoro and moonshine-tiny-en pulled. Variables: PYTHON (default .venv/bin/python), and PROCESSES, how many
# share the larger steps by torchrun (default 2; the gradients are averaged, so it changes the weights).
#
# Times are those of one core of a shared x86-64 server; about three hours in all on two cores. Model card:
# codecs/CODEC.md; experiments: codecs/LOG.md. The published weights came from these steps, but for two things that no
# script repeats: the encoder began with 560 steps on an earlier codebook, and had the last loss from step 624 on; and
# ten minutes of the phrases of turns.sh were among its pairs.
set -euo pipefail

dry=
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"
    exit 2
fi
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
texts=$(absolute "$1") folder=$(absolute "$2") weights=$(absolute "${3:-$2/weights}")
cd "$(dirname "$0")/../../.."
python=${PYTHON:-.venv/bin/python}
processes=${PROCESSES:-2}

# step NAME COMMAND...: runs a command once
step() {
    local name=$1
    shift
    if [ -n "$dry" ]; then
        echo "$*"
    elif [ ! -e "$folder/done/$name" ]; then
        echo "=== $name"
        "$@"
        touch "$folder/done/$name"
    fi
}

together=("$python")
if [ "$processes" -gt 1 ]; then together+=(-m torch.distributed.run --nproc-per-node "$processes"); fi
if [ -z "$dry" ]; then mkdir -p "$folder/done" "$weights"; fi

# --- codebook and decoder ----------------------------------------------------------------------------------------

# 11 shards of 7 minutes of joe's latents, 15 s each. Any number of processes may share them.
step latents "$python" -m vivavoce.model.training.codec.latents "$folder/latents" "$texts" 0 11

# 500 steps of 2 x 960 frames, 0.7 s each: the mean square alone.
step first-codebook "${together[@]}" -m vivavoce.model.training.codec.train_codebook "$folder/latents" \
    "$folder/first-codebook" --steps 500

# 15 minutes for the features, then 1500 steps of 0.3 s: a surrogate that knows the errors of the first codebook.
step first-surrogate "$python" -m vivavoce.model.training.codec.asr_surrogate "$folder/latents" "$folder/surrogate" \
    "$folder/first-codebook/state.pt" --steps 1500

# 900 steps of 960 frames, 0.7 s each: the perceptual loss at twice the weight of the mean square.
step second-codebook "$python" -m vivavoce.model.training.codec.train_codebook "$folder/latents" \
    "$folder/second-codebook" --steps 900 --surrogate "$folder/surrogate/state.pt" --perceptual 2 \
    --init "$folder/first-codebook/state.pt"

# 5 minutes for the features of the second codebook, then 800 more steps of 0.3 s.
step second-surrogate "$python" -m vivavoce.model.training.codec.asr_surrogate "$folder/latents" "$folder/surrogate" \
    "$folder/first-codebook/state.pt" "$folder/second-codebook/state.pt" --steps 2300

# 1000 steps of 960 frames, 0.7 s each: the perceptual loss at four times the weight.
step codebook "$python" -m vivavoce.model.training.codec.train_codebook "$folder/latents" "$folder/codebook" \
    --steps 1000 --surrogate "$folder/surrogate/state.pt" --perceptual 4 --init "$folder/second-codebook/state.pt"

# A few seconds: decoder.onnx, latents.onnx.
step decoder "$python" -m vivavoce.model.training.codec.export_decoder "$folder/codebook/state.pt" "$weights"

# --- encoder -----------------------------------------------------------------------------------------------------

# 500 clips of 49 voices, 36 minutes of speech: half an hour.
step clips "$python" -m vivavoce.model.training.data.voices "$texts/wordnet" "$folder/spoken" --clips 500

# The other half hour: time-aligned pairs of these clips, and voice conversion of both voices' pairs.
step pairs "$python" -m vivavoce.model.training.codec.aligned_voices "$folder/spoken" "$folder/pairs"
step converted-voices "$python" -m vivavoce.model.training.codec.voice_conversion "$folder/pairs"
step converted-joe "$python" -m vivavoce.model.training.codec.voice_conversion "$folder/pairs" \
    --latents "$folder/latents" --shards 0 7

# 2500 steps of 2 x 18 s of sound, 1.4 s each: an hour on two cores.
step encoder-training "${together[@]}" -m vivavoce.model.training.codec.train_encoder "$folder/pairs" \
    "$folder/codebook/state.pt" "$folder/surrogate/state.pt" "$folder/encoder" --steps 2500

# A few seconds: encoder.onnx.
step encoder "$python" -m vivavoce.model.training.codec.export_encoder "$folder/encoder/state.pt" \
    "$folder/codebook/state.pt" "$weights"
