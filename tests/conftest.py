"""What every test may ask for, and how patient Hypothesis is."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.kafka"]

# A law holds or it does not; how fast it is checked depends on who else uses the machine.
settings.register_profile(
    "forewarn", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("forewarn")
