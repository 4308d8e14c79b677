"""The parts of the metadata that depend on the repository's address, which one line of pyproject.toml sets."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class AddressHook(MetadataHookInterface):
    """Fills in the URLs, and the readme with links and images that an index page can show."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what is dynamic."""
        address = self.config["address"]
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"(?<=\]\()(?!https?://)[^)\s]+", lambda link: absolute(address, link[0]), readme)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = {
            "Documentation": f"{address}/blob/main/docs/index.md",
            "Changelog": f"{address}/blob/main/CHANGELOG.md",
            "Issues": f"{address}/issues",
            "API reference": "https://docs.apify.com/api/v2/actor-tasks-get",
        }


def absolute(address: str, path: str) -> str:
    """Return the address of a file of the repository: of the picture itself, or of the page that shows a text."""
    return f"{address}/{'raw' if path.endswith('.svg') else 'blob'}/main/{path}"
