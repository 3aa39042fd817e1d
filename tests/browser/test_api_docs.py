"""The documentation of the APIs in a browser: find an operation by keys, try it, and keep the token to oneself."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from oasst.accounts import tokens
from tests.browser.conftest import PHONE, NewVisitor
from tests.factories import new_person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_find_and_try_an_operation_by_keys(visitor: NewVisitor) -> None:
    _, secret = tokens.create_token(new_person("Alice"), name="docs", days=7)
    page = visitor()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto("/docs/")
    assert page.evaluate("document.documentElement.scrollHeight") <= 3_000
    page.keyboard.press("/")
    expect(page.locator("#api-search")).to_be_focused()
    page.keyboard.type("list_messages")
    expect(page.locator("[data-found]")).to_have_text("1 operation")
    page.keyboard.press("Enter")
    operation = page.locator("[data-operation=list_messages]")
    expect(operation).to_have_attribute("open", "")
    page.locator("#api-token").fill(secret)
    operation.get_by_text("Try it", exact=True).click()
    operation.locator("[data-name=max_count]").fill("7")
    operation.get_by_role("button", name="Send").click()
    expect(operation.locator("[data-status]")).to_contain_text("200")
    assert json.loads(operation.locator("[data-answer]").inner_text()) == []
    expect(operation.locator("[data-headers]")).to_contain_text("content-type: application/json")
    curl = operation.locator("[data-curl]").inner_text()
    assert "$TOKEN" in curl and "/api/v1/messages/?max_count=7" in curl and secret not in curl
    assert faults == []

    kept: Any = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert secret not in kept
    page.reload()
    expect(page.locator("#api-token")).to_have_value("")


def test_without_script_everything_is_there_and_nothing_to_try(visitor: NewVisitor) -> None:
    page = visitor(script=False, viewport=PHONE)
    page.goto("/docs/")
    expect(page.locator("#api-token")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollHeight") < 5_000
    page.locator("#api-search").fill("availability")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("[data-operation]:visible")).to_have_count(1)
    page.locator("[data-operation=availability] > summary").click()
    expect(page.locator("#availability")).to_be_visible()
    expect(page.locator("#availability").get_by_text("Try it", exact=True)).to_be_hidden()
