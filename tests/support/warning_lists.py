"""The shipped warning lists, loaded once per test process, and folders of MISP's lists."""

import json
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tocsin.admission.warninglists.index import WarningLists, load_warning_lists
from tocsin.config.cache import load_or_build


@cache
def warning_lists() -> WarningLists:
    """Load the index; building it takes a second, so test processes share it on disk."""
    return load_warning_lists(keep=load_or_build)


def write_misp_lists(folder: Path, lists: Mapping[str, object]) -> Path:
    """Write lists as MISP publishes them, `lists/NAME/list.json`; entries or whole documents."""
    for name, content in lists.items():
        place = folder / "lists" / name
        place.mkdir(parents=True)
        document = {"name": f"List {name}", "version": 7, "type": "string", "list": content}
        whole = document if isinstance(content, list) else content
        (place / "list.json").write_text(json.dumps(whole))
    return folder


def zip_folder(folder: Path, file: Path) -> Path:
    """Write a zip file of a folder, as a download of its repository is."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(folder.rglob("*.json")):
            archive.write(each, f"misp-warninglists-main/{each.relative_to(folder)}")
    return file
