"""Training and evaluation data: texts, speech of synthetic voices, noises, turns with labelled pauses."""
