"""Settings of the documentation: `nox -s docs` builds it into build/docs. Needs no network."""

import os
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

import apify_tasks_async

sys.path.append(str(Path(__file__).parent))  # for the extension `links`

project = "apify_tasks_async"
release = version = apify_tasks_async.__version__
html_title = f"{project} {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx", "sphinx.ext.napoleon", "commands", "links"]

# Text.
myst_enable_extensions = ["colon_fence", "deflist", "html_image"]
myst_heading_anchors = 3
smartquotes_action = "D"  # dashes only: quotes are code

# Every name of this project must be known; those of others are links where a network is there.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!apify_tasks_async).*"), ("py:.*", r"apify_tasks_async\._.*")]

# Docstrings: Google style, `code` in single backticks.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"

# Pages.
html_theme = "furo"
html_copy_source = html_show_sourcelink = False
html_show_copyright = html_show_sphinx = False
highlight_language = "none"  # of blocks that name no language
pygments_dark_style = "github-dark"

INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "aiohttp": "https://docs.aiohttp.org/en/stable/",
    "attrs": "https://www.attrs.org/en/stable/",
    "cattrs": "https://catt.rs/en/stable/",
}


def fetch(name: str, address: str) -> str | None:
    """Return a file with the inventory of a site; `None` if there is no network."""
    file = Path(tempfile.gettempdir()) / f"{project}-{os.getpid()}-{name}.inv"
    try:
        with urlopen(f"{address}objects.inv", timeout=3) as response:  # noqa: S310 - the addresses are above
            file.write_bytes(response.read())
    except OSError:
        return None
    return str(file)


# Without a network, the names of others are not links.
fetched = {name: (address, fetch(name, address)) for name, address in INVENTORIES.items()}
intersphinx_mapping = {name: (address, file) for name, (address, file) in fetched.items() if file}
