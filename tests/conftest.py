"""Fixtures for all tests: real stores, scripted providers, and daemons that answer on a real port."""

pytest_plugins = ["tests.fixtures_stores", "tests.fixtures_daemon", "tests.fixtures_twelve"]
