"""The models behind a conversation, and the files they are made of.

dialogue.py    the contract every model keeps
cascade/       recogniser -> language model -> voice: what answers today
catalog.toml   which files, from where, under which licence; store.py keeps them
"""
