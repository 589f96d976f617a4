"""Evaluation of models apart from calls: the codec, and recognition of telephone sound."""
