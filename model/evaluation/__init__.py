"""Evaluation of models outside of calls: the audio codec, and ASR of telephone speech."""
