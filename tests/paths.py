"""The root of the project, and the texts that tests use."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
SAMPLE = DATA / "trees_en_50.jsonl"
