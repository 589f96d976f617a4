#!/usr/bin/env bash
# Trains the networks of turn-taking, from phrases and sentences to the ONNX files of model/turns.
#
#     model/training/runs/turns.sh [--dry-run] FOLDER [WEIGHTS]
#
#   --dry-run   print the commands instead of running them
#   FOLDER      recordings, examples and data sets: about 1 GB
#   WEIGHTS     where the ONNX files go (default: FOLDER/weights; model/turns replaces those of the package)
#
# Resumes: each finished step leaves a file in FOLDER/done; a stopped one continues where it was. To repeat a step,
# remove its file there and its results. Runs from the checkout, after `make .venv/.ready-dev`, with the models
# piper-joe, kokoro, moonshine-tiny-en and silero-vad pulled. Variable: PYTHON (default .venv/bin/python).
#
# Times are those of one core of a shared x86-64 server, about two hours in all. Model cards: model/turns/OVERLAP.md and
# model/turns/ENDPOINT.md, which name the numbers of examples of the published weights: another run gives others.
set -euo pipefail

dry=
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"
    exit 2
fi
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
folder=$(absolute "$1") weights=$(absolute "${2:-$1/weights}")
cd "$(dirname "$0")/../../.."
python=${PYTHON:-.venv/bin/python}

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

if [ -z "$dry" ]; then mkdir -p "$folder/done" "$weights"; fi

# --- sounds over the assistant: interruption, backchannel, noise or echo ------------------------------------------

# Backchannels and interruptions in some fifty voices: half an hour.
step recordings "$python" -m vivavoce.model.training.turns.voices "$folder/recordings"

# 10 800 examples by two processes, then 14 epochs: some minutes on two cores.
step overlap-classifier "$python" -m vivavoce.model.training.turns.train_overlap "$folder/recordings" \
    "$weights/overlap_classifier.onnx"

# 6 parts of 2 000 examples, ten minutes in all, then 8 epochs: two minutes.
step asr-overlap-head "$python" -m vivavoce.model.training.turns.train_asr_overlap "$folder/recordings" \
    "$weights/asr_overlap_head.onnx"

# --- pauses: is the turn over? ------------------------------------------------------------------------------------

# 40 parts, one to two minutes each. The published weights have seen 20.
step endings "$python" -m vivavoce.model.training.turns.asr_endpoint_dataset "$folder/endings"

# 14 epochs: a minute.
step asr-endpoint-head "$python" -m vivavoce.model.training.turns.train_asr_endpoint "$folder/endings" \
    "$weights/asr_endpoint_head.onnx"
