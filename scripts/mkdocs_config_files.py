"""A hook of MkDocs: the files of config/ are part of the site.

So `../config/hub.toml` is a link that leads to the file from a page in the repository, and from the
same page of the site.
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the files that hold the settings."""
    for name in ("hub.toml", "client.toml", "policy.toml"):
        files.append(
            File(
                f"../config/{name}",
                config.docs_dir,
                config.site_dir,
                config.use_directory_urls,
                dest_uri=f"config/{name}",
                inclusion=InclusionLevel.INCLUDED,  # names that begin with a dot are left out
            )
        )
