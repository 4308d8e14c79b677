"""The parts of the metadata that depend on the repository's address, which one line of pyproject.toml sets."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class AddressHook(MetadataHookInterface):
    """Fills in the URLs, and the readme with images that an index page can show."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what is dynamic."""
        address = self.config["address"]
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = readme.replace("](benchmarks/speed.svg)", f"]({address}/raw/main/benchmarks/speed.svg)")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = {
            "Documentation": f"{address}#readme",
            "Changelog": f"{address}/blob/main/CHANGELOG.md",
            "Issues": f"{address}/issues",
            "API reference": "https://docs.apify.com/api/v2/actor-tasks-get",
        }
