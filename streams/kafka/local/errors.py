"""Why there is no broker: one exception for each thing a caller can do something about."""


class BrokerUnavailableError(Exception):
    """There is no broker to work with; the text says what is missing and how to get it."""


class JavaNotFoundError(BrokerUnavailableError):
    """No Java of the needed version on this machine; the text names every place that was looked at."""


class JarsUnavailableError(BrokerUnavailableError):
    """Kafka's server could not be fetched: no Maven, no network, or not started from a checkout."""


class BrokerStartError(BrokerUnavailableError):
    """A local broker did not come up; the text ends with the tail of its log."""


class BrokerUnreachableError(BrokerUnavailableError):
    """The broker named in `FOREWARN_BROKER` does not answer."""
