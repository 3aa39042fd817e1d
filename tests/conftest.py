"""What every test may use. The servers behind the tests come from tests/services_fixture.py."""

pytest_plugins = ["tests.services_fixture", "tests.cast"]
