"""model/store/catalog.py: what the catalog says, and what it must not say."""

from __future__ import annotations

import re

import pytest

from vivavoce.model.errors import CatalogBroken, UnknownModel
from vivavoce.model.store import catalog
from vivavoce.model.store.catalog import Derived, Home, Mirror, Part

SUM = "ab" * 32
GOOD = f"""
[voice]
title = "A voice"
licence = "MIT"
default = true

[[voice.files]]
name = "model.onnx"
size = 30
sha256 = "{SUM}"
sources = [
  {{ url = "https://example.org/model.onnx" }},
  {{ registry = "pypi", version = "1", parts = [
    {{ package = "a", member = "a/x", size = 10 }},
    {{ package = "b", member = "b/x", size = 20 }},
  ] }},
]

[[voice.sets]]
name = "voices/{{}}.bin"
size = 5
sources = [{{ registry = "npm", package = "c", version = "2", member = "package/{{}}.bin" }}]

[voice.sets.sha256]
ann = "{SUM}"
bob = "{"cd" * 32}"

[ears]
title = "Ears"
licence = "MIT"
default = false
files = [
  {{ name = "a", size = 7, sha256 = "{SUM}", sources = [
    {{ registry = "pypi", package = "p", version = "3", member = "p/a", platform = "tag" }},
  ] }},
]
"""


def test_catalog_of_the_package_is_sound() -> None:
    shipped = catalog.load()
    talk = {"silero-vad", "smart-turn", "moonshine-tiny-en", "qwen2.5-0.5b", "hibari"}
    assert set(shipped.select()) == talk | {"ssd-mobilenet-v2", "efficientnet-lite3", "pp-ocrv6"}
    assert len(shipped["kokoro"].files) == 56
    assert [artefact.name for artefact in shipped if not artefact.mirrored] == ["hibari-voices"]
    for artefact in shipped:
        assert artefact.licence
        assert artefact.notes
        for file in artefact.files:
            sourced = any(isinstance(source, Mirror | Derived) for source in file.sources)
            assert sourced or artefact.name == "hibari-voices", file.name
            homes = [source for source in file.sources if isinstance(source, Home)]
            assert all(home.url.startswith("https://") for home in homes)
            assert file.sources[: len(homes)] == tuple(homes), "the official home comes first"


def test_catalog_keeps_files_of_one_archive_together() -> None:
    for artefact in catalog.load():
        mirrors = [source for file in artefact.files for source in file.sources if isinstance(source, Mirror)]
        fetched = [part.package for mirror in mirrors for part in mirror.parts]
        changes = [one for one, before in zip(fetched, [None, *fetched], strict=False) if one != before]
        assert len(changes) == len(set(changes)), f"{artefact.name} fetches an archive twice"


def test_what_is_made_here_is_made_out_of_something_that_can_be_fetched() -> None:
    made = "sources = [{ artefact = 'ears', file = 'a', keep = ['x'] }]"
    text = f"{GOOD}[quick]\ntitle = 'Q'\nlicence = 'MIT'\ndefault = true\n"
    text += f"[[quick.files]]\nname = 'b'\nsize = 3\nsha256 = '{SUM}'\n"
    read = catalog.parse(text + made)
    assert read["quick"].files[0].sources == (Derived("ears", "a", ("x",)),)
    assert read["quick"].origins == ("ears",)
    assert read.with_origins(["voice", "quick", "ears"]) == ("voice", "ears", "quick")
    for wrong in (made.replace("'a'", "'c'"), made.replace("'ears'", "'quick'").replace("'a'", "'b'")):
        with pytest.raises(CatalogBroken, match="is not a file that can be fetched"):
            catalog.parse(text + wrong)


def test_sources_are_read_in_order() -> None:
    file = catalog.parse(GOOD)["voice"].files[0]
    assert file.sources == (
        Home("https://example.org/model.onnx"),
        Mirror("pypi", (Part("a", "1", "a/x", 10), Part("b", "1", "b/x", 20))),
    )


def test_source_of_one_member_is_one_part_of_the_whole_size() -> None:
    (file,) = catalog.parse(GOOD)["ears"].files
    assert file.sources == (Mirror("pypi", (Part("p", "3", "p/a", 7),), "tag"),)


def test_set_becomes_one_file_for_each_sum() -> None:
    _, ann, bob = catalog.parse(GOOD)["voice"].files
    assert (ann.name, ann.size, ann.sha256) == ("voices/ann.bin", 5, SUM)
    assert bob.sources == (Mirror("npm", (Part("c", "2", "package/bob.bin", 5),)),)
    assert catalog.parse(GOOD)["voice"].size == 30 + 5 + 5


def test_selection_is_the_default_set_unless_names_or_all_are_given() -> None:
    parsed = catalog.parse(GOOD)
    assert parsed.select() == ("voice",)
    assert parsed.select(everything=True) == ("voice", "ears")
    assert parsed.select(["ears", "voice", "ears"]) == ("ears", "voice")


def test_everything_leaves_out_what_its_home_alone_has() -> None:
    text = f"{GOOD}[far]\ntitle = 'F'\nlicence = 'MIT'\ndefault = false\n[[far.files]]\nname = 'b'\nsize = 3\n"
    parsed = catalog.parse(f"{text}sha256 = '{SUM}'\nsources = [{{ url = 'https://example.org/b' }}]")
    assert not parsed["far"].mirrored
    assert parsed.select(everything=True) == ("voice", "ears")
    assert parsed.select(["far"]) == ("far",)


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'nose'.*voice, ears"):
        catalog.parse(GOOD).select(["nose"])


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("[voice]", "[voice", "not TOML"),
        ('title = "A voice"', "title = 3", "title must be given as str"),
        ('licence = "MIT"\ndefault = true', "default = true", "licence must be given"),
        ("default = true", 'default = true\ndefalt = "x"', "unknown entries ['defalt']"),
        ("size = 30", "size = 31", "do not add up to 31"),
        ("size = 30", "size = true", "size must be given as int"),
        ("size = 5", "size = 0", "a size above 0"),
        (f'name = "model.onnx"\nsize = 30\nsha256 = "{SUM}"', f'name = "m"\nsize = 30\nsha256 = "{SUM[1:]}"', "64 hex"),
        ("model.onnx", "../model.onnx", "stay inside"),
        ("model.onnx", "/etc/model.onnx", "stay inside"),
        ("model.onnx", ".hidden", "stay inside"),
        ("voices/{}.bin", "voices/x.bin", "each of its own name"),
        ('registry = "npm"', 'registry = "cpan"', "not 'cpan'"),
        ('registry = "npm", ', "", "not None"),
        (', member = "package/{}.bin" ', "", "member must be given"),
        ('[{ registry = "npm", package = "c", version = "2", member = "package/{}.bin" }]', "[]", "has no sources"),
        ('{ url = "https://example.org/model.onnx" }', '{ url = "https://x", hash = "y" }', "unknown entries ['hash']"),
        ("[ears]", "[ears.two]", "[ears]: unknown entries"),
        ("[ears]", '["../ears"]', "the name cannot be that of a folder"),
    ],
)
def test_catalog_that_is_wrong_is_refused_with_the_place(right: str, wrong: str, complaint: str) -> None:
    assert right in GOOD
    with pytest.raises(CatalogBroken, match=re.escape(complaint)):
        catalog.parse(GOOD.replace(right, wrong))
