"""The models behind a conversation, and the files they are made of.

errors        the exceptions of this package, one tree
dialogue      the contract of a model
cascade/      ASR -> LLM -> TTS: the model of today's calls
turns/        networks of turn-taking: VAD, endpointing, overlap
store/        the model catalog, and the files it names
training/     how the networks of this project were made
evaluation/   how they are rated
"""
