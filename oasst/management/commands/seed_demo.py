"""manage.py seed_demo: example trees and a few people at work."""

import secrets
from typing import Any

from django.conf import settings

from oasst.core.commands import ServiceCommand
from oasst.crowd import demo
from trees.interchange.reader import import_files
from trees.policy import current_policy

FOLDER = settings.BASE_DIR / "tests" / "data"


class Command(ServiceCommand):
    help = (
        "Fill an empty site with life: the example conversations of tests/data, and eight people whose own trees "
        "stand in every stage, so that a visitor finds each kind of task. Made through the services that the pages "
        "call. A second run adds nothing. Their password is printed only where the site is for this machine alone."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        policy = current_policy()
        result = import_files([FOLDER / "trees_en_50.jsonl"], policy=policy)
        self.stdout.write(f"{result.trees} example trees imported, {result.skipped} already here")
        if demo.is_there():
            self.stdout.write("The demo people are already here.")
            return
        password = secrets.token_urlsafe(9)
        demo.grow(demo.people(password), FOLDER, policy, tell=self.stdout.write)
        names = ", ".join(demo.address(name) for name in demo.NAMES)
        self.stdout.write(f"Demo people: {names}")
        if settings.IS_LOCAL:
            self.stdout.write(f"Their password: {password}")
