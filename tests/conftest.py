"""Fixtures for all tests: real stores, scripted providers, and daemons that answer on a real port."""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.support.steady",
    "tests.support.patience",
    "tests.support.stores",
    "tests.support.daemon",
    "tests.support.twelve",
]

# How long an example takes says more of the machine than of the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("steady"), max_examples=10)  # make quick
settings.load_profile("steady")
