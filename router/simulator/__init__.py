"""Twelve fake LLM providers on loopback, each in its own wire format, with limits and weather to order.

Written from what the providers' wires are known to say, not from the adapters that speak to them: the two check
each other.
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
