from __future__ import annotations

import asyncio
import gc

import pytest

from streams.errors import ConfigurationError
from streams.kafka import topics
from streams.settings import Settings
from tests.integration.brokers import PASSWORD, USER, KafkaNode
from tests.integration.conftest import isolated_settings

pytestmark = pytest.mark.kafka


def secure(node: KafkaNode, **overrides: object) -> Settings:
    login: dict[str, object] = {
        "security_protocol": "SASL_SSL",
        "ssl_ca_file": node.ca_file,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    }
    return isolated_settings(node.secure_servers, "secure").replace(**login | overrides)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_topics_are_created_over_tls_with_a_login(kafka_node: KafkaNode, mechanism: str) -> None:
    settings = secure(kafka_node, sasl_mechanism=mechanism)
    await topics.create(settings)
    assert (await topics.check(settings)).problems == ()


# aiokafka drops a refused connection without waiting for TLS to close.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        ({"sasl_password": "wrong-one"}, "invalid credentials"),
        ({"sasl_password": "wrong-one", "sasl_mechanism": "PLAIN"}, "Invalid username or password"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "UnsupportedSaslMechanism"),
        ({"ssl_ca_file": None}, "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_an_error_about_a_refused_connection_has_the_cause_and_no_secret(
    kafka_node: KafkaNode, overrides: dict[str, object], cause: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"over SASL_SSL: .*{cause}") as caught:
        asyncio.run(topics.check(secure(kafka_node, **overrides)))
    gc.collect()
    assert "wrong-one" not in str(caught.value)
