"""Generated clients in Python: `openapi-python-client`, run on the documents that the site publishes."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_CONFIG = {
    "post_hooks": [],
    # It does not support streams; the schemas of their events are generated all the same.
    "content_type_overrides": {
        "text/event-stream": "application/json",
        "application/x-ndjson": "application/octet-stream",
    },
}


class Client:
    """Return a generated package. Fails if the generator did not understand something."""

    def __init__(self, document: dict[str, Any], folder: Path, name: str) -> None:
        self.name = name
        source, config = folder / f"{name}.json", folder / f"{name}-config.json"
        source.write_text(json.dumps(document))
        config.write_text(json.dumps(_CONFIG))
        argv = ["openapi_python_client", "generate", "--path", source, "--config", config, "--meta", "none"]
        command = [sys.executable, "-m", *map(str, argv), "--output-path", str(folder / name), "--fail-on-warning"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        sys.path.insert(0, str(folder))
        try:
            self.package = importlib.import_module(name)
            self.models: Any = importlib.import_module(f"{name}.models")
        finally:
            sys.path.remove(str(folder))

    def operation(self, tag: str, name: str) -> ModuleType | Any:
        return importlib.import_module(f"{self.name}.api.{tag}.{name}")
