"""What every test may ask for, and how patient Hypothesis is."""

import signal

from hypothesis import HealthCheck, settings

from streams.compiled import form

pytest_plugins = ["tests.support.kafka"]

# A law holds or it does not; how fast it is checked depends on who else uses the machine.
settings.register_profile(
    "forewarn", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("forewarn")

# A shell starts what it runs in the background with SIGINT ignored, and every process of the tests would inherit that:
# Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Which form is tested: tests/run tests the pure one, tests/compiled/run the other."""
    return f"models: the {form()} form"
