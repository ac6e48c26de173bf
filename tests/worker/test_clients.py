"""The keeper reaches a queue the way kombu does."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from shipit_worker.clients import Clients

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/reports"


def client_of(broker: str, url: str = URL, **options: Any) -> Any:
    app = Celery("x", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = options
    return Clients(app).of(url)


def keys(client: Any) -> tuple[str, str]:
    frozen = client._request_signer._credentials.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key


def test_keys_and_endpoint_come_from_the_broker_url() -> None:
    client = client_of("sqs://KEY:S%2FCRET@127.0.0.1:5000", region="eu-west-1")
    assert (client.meta.endpoint_url, client.meta.region_name) == ("http://127.0.0.1:5000", "eu-west-1")
    assert keys(client) == ("KEY", "S/CRET")


def test_a_bare_broker_url_means_aws_and_the_role_of_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FOUND")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.delenv("AWS_ENDPOINT_URL_SQS", raising=False)
    client = client_of("sqs://", region="eu-central-1")
    assert client.meta.endpoint_url == "https://sqs.eu-central-1.amazonaws.com"
    assert keys(client)[0] == "FOUND"


def test_a_queue_with_settings_of_its_own_has_its_own_client() -> None:
    own = {"url": URL, "region": "eu-north-1", "access_key_id": "OWN", "secret_access_key": "o"}
    app = Celery("x", broker="sqs://KEY:SECRET@", set_as_current=False)
    app.conf.broker_transport_options = {
        "region": "eu-west-1",
        "predefined_queues": {"reports": own, "other": {"url": f"{URL}-2"}, "third": {"url": f"{URL}-3"}},
    }
    clients = Clients(app)
    assert (clients.of(URL).meta.region_name, keys(clients.of(URL))) == ("eu-north-1", ("OWN", "o"))
    assert keys(clients.of(f"{URL}-2")) == ("KEY", "SECRET")
    assert clients.of(f"{URL}-2") is clients.of(f"{URL}-3")


def test_an_answer_is_waited_for_shortly_and_other_settings_are_the_applications() -> None:
    options = {"read_timeout": 70, "max_pool_connections": 3}
    config = client_of("sqs://K:S@", **{"region": "eu-west-1", "client-config": options}).meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (5, 5, 3)
    assert config.retries["total_max_attempts"] == 1
