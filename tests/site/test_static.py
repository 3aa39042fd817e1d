"""Static files are collected only if they have changed."""

import os
from pathlib import Path

from pytest_django import Settings

from oasst.site.management import static


def test_collects_on_change_only(settings: Settings, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "css").mkdir(parents=True)
    style = source / "css" / "base.css"
    style.write_text("a{}")
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = target

    assert static.collect_static()
    assert (target / "css/base.css").read_text() == "a{}"
    assert not static.collect_static()
    style.write_text("b{}")
    os.utime(style, ns=(1, 1))
    assert static.collect_static()
    assert (target / "css/base.css").read_text() == "b{}"
    style.rename(source / "other.css")
    assert static.collect_static()
    assert not (target / "css/base.css").exists(), "what is gone is served no more"
    (target / ".collected").unlink()
    assert static.collect_static()
