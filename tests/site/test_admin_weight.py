"""Pages of the admin load little script, which has what they name: each list, each page of a row, and our own pages."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.factories import new_person
from tests.paths import ROOT
from tests.security.roles import new_world

pytestmark = pytest.mark.django_db
LIMIT = 100_000
"""Bytes of script before compression."""
STATES = set(re.findall(r"^window\.(\w+) = ", (ROOT / "static/js/admin.js").read_text(), re.MULTILINE))
OWN = ("index", "desk", "status", "bulk_acts", "bulk_new")


def weight(client: Client, address: str) -> int:
    """Return how many bytes of script a page asks for. Fail if it names a state that our script does not have."""
    response = client.get(address, follow=True)
    assert response.status_code == 200, address
    states = set(re.findall(r"x-data=\"(\w+)\(", response.text))
    assert states <= STATES, (address, states)
    return sum(size_of(client, source) for source in re.findall(r"<script[^>]* src=\"([^\"]+)\"", response.text))


def size_of(client: Client, source: str) -> int:
    path = source.partition("?")[0]
    if not path.startswith(django_settings.STATIC_URL):
        return len(client.get(source).content)
    found = finders.find(path.removeprefix(django_settings.STATIC_URL))
    assert found, source
    return Path(str(found)).stat().st_size


def test_no_page_loads_more_script_than_it_may(settings: Any) -> None:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    new_world()
    client = Client()
    client.force_login(new_person("Ada", "admin"))
    addresses = [reverse(f"admin:{name}") for name in OWN]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses.append(reverse(f"{name}_changelist"))
        if (row := model._default_manager.first()) is not None:
            try:
                addresses.append(reverse(f"{name}_change", args=[row.pk]))
            except NoReverseMatch:
                continue
    assert len(addresses) > 40
    heavy = {address: size for address in addresses if (size := weight(client, address)) > LIMIT}
    assert not heavy
