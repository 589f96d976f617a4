"""What can go wrong with model files. Every message says what to do.

ModelError
├── CatalogBroken     catalog.toml itself is wrong: a mistake of ours
├── UnknownModel      a name that the catalog does not have
├── MissingModel      known, but not pulled yet
├── DamagedModel      on disk, but not the bytes that the catalog names
├── NoSource          every source of a file failed; the reasons are listed
├── DiskFull          no room for the file
├── StoreUnusable     the store cannot be read or written, or nobody said where it is
└── SourceFailed      one source failed; the next one is tried (ends in NoSource if it was the last)
    ├── Unreachable   nobody answers there: not asked again in this run
    └── WrongBytes    it answered with other bytes than the catalog names
"""

from __future__ import annotations


class ModelError(Exception):
    """Root of the tree."""


class CatalogBroken(ModelError):
    """catalog.toml does not say what it must."""


class UnknownModel(ModelError):
    """The catalog has no artefact of this name."""


class MissingModel(ModelError):
    """The artefact was not pulled yet, or not wholly."""


class DamagedModel(ModelError):
    """A file of the artefact is not what the catalog names."""


class NoSource(ModelError):
    """No source could give a file."""


class DiskFull(ModelError):
    """The file system has no room."""


class StoreUnusable(ModelError):
    """The store's folder cannot be used."""


class SourceFailed(ModelError):
    """One source could not give a file."""


class Unreachable(SourceFailed):
    """A host, or a registry's client, got no answer in time."""


class WrongBytes(SourceFailed):
    """The bytes of a source are not those of the catalog."""
