"""Twelve simulated LLM providers on loopback, each in its own wire format, with rate limits and faults on demand.

It shares no code with the adapters. It is written from the providers' documentation and recorded traffic, so that each
checks the other: a rule misread in one shows up as a failed test and not as an agreement of two copies.
"""

from router.simulator.delivery import Clock
from router.simulator.limits import Quota
from router.simulator.providers import PROVIDERS
from router.simulator.server import Simulator, build_app, run, start_simulator
from router.simulator.weather import WEATHERS, Spell, WeatherError, WeatherScript, load_script, parse_script

__all__ = [
    "PROVIDERS",
    "WEATHERS",
    "Clock",
    "Quota",
    "Simulator",
    "Spell",
    "WeatherError",
    "WeatherScript",
    "build_app",
    "load_script",
    "parse_script",
    "run",
    "start_simulator",
]
