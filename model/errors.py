"""Exceptions of the package `model`: one tree, the misuse apart from the failure.

ModelError                  the message can be shown to the user: what failed, and what to do
│
├── UsageError              the request or the set-up is wrong: the caller can change it
│   ├── UnknownModel          the catalog has no artefact of this name
│   ├── UnknownVoice          the TTS has no voice of this name
│   ├── UnknownLanguage       the ASR does not know this language
│   ├── InvalidTool           a tool's parameters are not a JSON schema, or one that no call can fit
│   │   └── InvalidPattern      the same of a pattern in it
│   ├── MissingModel          in the catalog, but not pulled yet
│   ├── StoreUnusable         the store's folder is not configured, or cannot be read or written
│   ├── DiskFull              no room for a file
│   ├── MissingSystem         a system under evaluation is not installed
│   ├── MaterialError         the speech of an evaluation set is not installed
│   └── DnsmosMissing         the weights of DNSMOS are not installed
│
├── BrokenModel             files that are there, and are not what they must be
│   ├── CatalogBroken         catalog.toml itself: a mistake of ours
│   ├── DamagedModel          not the bytes that the catalog names, or not a GGUF model
│   ├── BrokenAsr             files of the ASR
│   ├── BrokenTts           files of the TTS
│   └── GgufError             not GGUF as known here
│
├── DownloadError           the peer failed: a host or a package registry
│   ├── NoSource              every source of a file failed; the reasons are listed
│   └── SourceFailed          one source failed; the next is tried, after the last comes NoSource
│       ├── Unreachable         no answer: not tried again in this run
│       └── WrongBytes          other bytes than the catalog names
│
└── DialogueError           the model failed: loaded, but without an answer
    ├── NotRecognized         the ASR has no words for the user's turn
    ├── ToolCallError         the LLM called a tool that it does not have, or with arguments that do not fit
    ├── UnreadableAnswer      an endpoint's answer is not what the API defines; the message is for the log
    └── EndpointFailed        an endpoint reports a failure within its answer; the message is for the log
"""

from __future__ import annotations


class ModelError(Exception):
    """Root of the tree."""


class UsageError(ModelError):
    """The request or the set-up is wrong."""


class UnknownModel(UsageError):
    """The catalog has no artefact of this name; the message lists those it has."""


class UnknownVoice(UsageError):
    """The TTS has no voice of this name; the message lists those it has."""


class UnknownLanguage(UsageError):
    """The ASR does not know this language."""


class InvalidTool(UsageError):
    """A tool's parameters are not a JSON schema, or one that no call can fit. `path`: of the field, within them."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class InvalidPattern(InvalidTool):
    """A pattern is not a regular expression, or nothing can match it."""


class MissingModel(UsageError):
    """The artefact was not pulled yet, or not wholly."""


class StoreUnusable(UsageError):
    """The store's folder cannot be used."""


class DiskFull(UsageError):
    """The file system has no room."""


class MissingSystem(UsageError):
    """A system under evaluation cannot be loaded; the message says why."""


class MaterialError(UsageError):
    """The speech of an evaluation set is not there; the message says how to get it."""


class DnsmosMissing(UsageError):
    """The weights of DNSMOS are not installed; the message says how to get them."""


class BrokenModel(ModelError):
    """Files are not what they must be."""


class CatalogBroken(BrokenModel):
    """catalog.toml does not say what it must."""


class DamagedModel(BrokenModel):
    """A file of the artefact is not what the catalog names."""


class BrokenAsr(BrokenModel):
    """A file of the ASR is missing or not what it must be; the message names it."""


class BrokenTts(BrokenModel):
    """A file of the TTS is missing or not what it must be; the message names it."""


class GgufError(BrokenModel):
    """The file is not GGUF as known here."""


class DownloadError(ModelError):
    """A download failed."""


class NoSource(DownloadError):
    """No source could give a file."""


class SourceFailed(DownloadError):
    """One source could not give a file."""


class Unreachable(SourceFailed):
    """A host, or a registry's client, got no answer in time."""


class WrongBytes(SourceFailed):
    """The bytes of a source are not those of the catalog."""


class DialogueError(ModelError):
    """The model could not answer."""


class NotRecognized(DialogueError):
    """The user's turn has no words, and would have none if the same reply were requested again."""


class ToolCallError(DialogueError):
    """The LLM called a tool that it does not have, wrote an incomplete call, or arguments that do not fit. The same
    request would end alike."""


class UnreadableAnswer(DialogueError):
    """An endpoint's answer is not what the API defines. The message is for the operator, and cites nothing of it."""


class EndpointFailed(DialogueError):
    """An endpoint reports a failure within its answer. The message is the endpoint's, for the operator."""
