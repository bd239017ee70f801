"""The broker of the integration tests, here too."""

from tests.integration.conftest import kafka, kafka_node

__all__ = ["kafka", "kafka_node"]
