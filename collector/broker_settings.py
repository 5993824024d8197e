"""From the configuration to a connection of the large installation's broker."""

from __future__ import annotations

import ssl

from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.intake.amqp import AmqpSettings, nodes
from tillwatch.collector.trust.authority import COLLECTOR_NAME, Authority


def amqp_settings(config: Config, own: Authority, name: str, certificate: str = COLLECTOR_NAME) -> AmqpSettings:
    """name: shown by the broker. Raises ConfigError where there is no [amqp], or its files cannot be read."""
    section = config.amqp
    if section is None or section.password_file is None:
        raise ConfigError(f"{config.source}: [amqp] is missing; openers take messages from a RabbitMQ")
    try:
        lines = section.password_file.read_text(encoding="utf-8").splitlines()
        tls = None
        if section.tls:
            tls = ssl.create_default_context(cafile=str(section.ca_file or own.ca_file))
            tls.load_cert_chain(str(own.client_file(certificate)))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"[amqp] cannot read {error.filename if isinstance(error, OSError) else section.password_file}: {error}"
        ) from None
    if not lines or not lines[0].strip():
        raise ConfigError(f"[amqp] password_file: {section.password_file} has no password in its first line")
    return AmqpSettings(nodes(section.hosts, section.port), section.vhost, section.user, lines[0].strip(), tls, name)
