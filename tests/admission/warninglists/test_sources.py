"""Warning lists that an operator loads."""

import lzma
from pathlib import Path
from typing import Any

import pytest
from support.warning_lists import write_misp_lists, zip_folder

from tocsin.admission.errors import Malformed
from tocsin.admission.warninglists.index import load_warning_lists, read_list_documents
from tocsin.admission.warninglists.sources import compile_lists, read_misp_lists

LISTS = {"cisco_top20k": ["popular.example"], "google": ["search.example"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_misp_lists(tmp_path / "misp-warninglists", LISTS)


def load(tmp_path: Path, source: Path, names: Any = ("google", "akamai", "cisco_top20k")) -> Any:
    file = tmp_path / "loaded.json.xz"
    file.write_bytes(compile_lists(read_misp_lists(source)))
    return load_warning_lists(names, loaded=file)


def test_a_folder_of_lists_and_a_zip_file_of_it_give_the_same_lists(
    folder: Path, tmp_path: Path
) -> None:
    archive = zip_folder(folder, tmp_path / "main.zip")
    expected = read_misp_lists(folder).lists
    assert expected.keys() == LISTS.keys()
    assert read_misp_lists(folder / "lists").lists == expected
    assert read_misp_lists(archive).lists == expected


def test_loaded_lists_replace_the_shipped_ones_of_their_name(folder: Path, tmp_path: Path) -> None:
    lists = load(tmp_path, folder)
    assert lists.hits("domain-name", "search.example")[0].list == "List google"
    assert lists.hits("domain-name", "google.com") == ()
    assert lists.hits("ipv4-addr", "2.16.0.1")  # Akamai's are still the shipped ones


@pytest.mark.slow
def test_the_documents_tell_source_and_version(folder: Path, tmp_path: Path) -> None:
    load(tmp_path, folder)
    shipped, loaded = read_list_documents(tmp_path / "loaded.json.xz")
    assert shipped.source.startswith("pymispwarninglists") and shipped.lists["google"].version
    assert loaded.source == "misp-warninglists, newest list 7"
    assert loaded.lists["google"].version == 7


@pytest.mark.slow
def test_without_a_loaded_file_there_are_the_shipped_lists(tmp_path: Path) -> None:
    assert load_warning_lists(["google"], loaded=tmp_path / "none").hits(
        "domain-name", "google.com"
    )
    assert len(read_list_documents(tmp_path / "none")) == 1


@pytest.mark.slow
def test_other_loaded_lists_have_another_name_in_the_cache(folder: Path, tmp_path: Path) -> None:
    names = []

    def keep(name: str, make: Any) -> Any:
        names.append(name)
        return make()

    file = tmp_path / "loaded.json.xz"
    load_warning_lists(["google"], keep=keep, loaded=file)
    file.write_bytes(compile_lists(read_misp_lists(folder)))
    load_warning_lists(["google"], keep=keep, loaded=file)
    assert names[0] != names[1]


@pytest.mark.slow
@pytest.mark.parametrize("octets", [b"", b"junk", lzma.compress(b"{}"), lzma.compress(b"junk")])
def test_a_damaged_file_is_reported(octets: bytes, tmp_path: Path) -> None:
    file = tmp_path / "loaded.json.xz"
    file.write_bytes(octets)
    with pytest.raises(ValueError, match="damaged"):
        load_warning_lists(["google"], loaded=file)


def test_lists_that_do_not_count_are_passed_over(tmp_path: Path) -> None:
    source = write_misp_lists(tmp_path / "a", {"google": ["x.example"], "tranco": ["y.example"]})
    assert read_misp_lists(source).lists.keys() == {"google"}


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({}, "contains none of the warning lists"),
        ({"tranco": ["x.example"]}, "contains none of the warning lists"),
        ({"google": {"name": "x"}}, "google: not a warning list"),
        ({"google": {"name": "x", "list": [1]}}, "google: not a warning list"),
        ({"google": {"name": "x", "list": ["a"], "type": "regex"}}, "google: a list of express"),
    ],
)
def test_unusable_lists_are_refused_with_their_name(
    lists: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(Malformed, match=message):
        read_misp_lists(write_misp_lists(tmp_path / "a", lists))


def test_missing_folders_and_broken_zip_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="none: no such file or directory"):
        read_misp_lists(tmp_path / "none")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(Malformed, match="cannot be read"):
        read_misp_lists(broken)


def test_a_list_that_is_too_long_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.admission.warninglists.sources._LONGEST_LIST", 10)
    for source in (folder, zip_folder(folder, tmp_path / "main.zip")):
        with pytest.raises(Malformed, match="longer than 10"):
            read_misp_lists(source)
