"""A real broker that lets nobody in without a name, and nobody do what is not granted; its certificates, users and tokens.

Three ways in: `SECURE` (TLS, SASL with passwords or tokens), `MUTUAL` (TLS with a certificate of one's own), and the plain one
of every local Kafka, on which this test's hand is the super-user.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from streams.acls import Grant
from streams.clock import SystemClock
from streams.kafka.local import LocalKafka
from streams.kafka.reaching import refusal_now
from streams.settings import load_settings
from tests.support.processes import wait_until
from tests.support.token_provider import TokenProvider, token_provider

AUDIENCE: Final = "kafka"
PLAIN_USER: Final = "plain"
PLAIN_PASSWORD: Final = secrets.token_urlsafe(12)
"""With PLAIN the broker's own settings hold the passwords."""
REAUTHENTICATED_AFTER_MS: Final = 2_500
"""With SCRAM-SHA-256 the broker ends connections that are older: so hosted Kafkas do."""
_TOKEN_SECONDS: Final = 3600
_OPERATIONS: Final = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "Create": ACLOperation.CREATE,
    "Describe": ACLOperation.DESCRIBE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": ACLOperation.ALTER_CONFIGS,
}
_MECHANISMS: Final = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
_RESOURCES: Final = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_PATTERNS: Final = {
    "literal": ACLResourcePatternType.LITERAL,
    "prefixed": ACLResourcePatternType.PREFIXED,
}


class Papers:
    """Certificates and tokens, made for one run, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority, self._stranger = trustme.CA(key_type=_RSA), trustme.CA(key_type=_RSA)
        self.ca = self._write("ca.pem", self._authority.cert_pem.bytes())
        self.strange_ca = self._write("strange-ca.pem", self._stranger.cert_pem.bytes())
        self._key = rsa.generate_private_key(65537, 2048)
        self.jwks = self._write("jwks.json", json.dumps({"keys": [self._public_key()]}).encode())

    def certificate(self, name: str, *, strange: bool = False, password: str = "") -> Path:
        """Key and certificate of somebody with this common name, in one file; `strange`: vouched for by somebody else."""
        authority = self._stranger if strange else self._authority
        issued = authority.issue_cert("127.0.0.1", "localhost", common_name=name, key_type=_RSA)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        encrypted = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        # Kafka takes keys in PKCS #8 only.
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted)
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        return self._write(f"{name}{'-strange' * strange}.pem", pem + chain)

    def secret(self, name: str, content: str) -> Path:
        """A file with a secret, for its owner alone, in one step: it is read while it is renewed."""
        file = self._write(f".{name}", content.encode())
        return file.rename(self.folder / name)

    def token(self, subject: str, *, seconds: float = _TOKEN_SECONDS, audience: str = AUDIENCE) -> str:
        """A signed token (RFC 7519) that is good for so long."""
        now = SystemClock().now_ms() / 1000
        claims = {"sub": subject, "aud": audience, "iat": int(now), "exp": int(now + seconds)}
        parts = [{"alg": "RS256", "kid": "test", "typ": "JWT"}, claims]
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "kid": "test",
            "alg": "RS256",
            "use": "sig",
            "n": _base64(numbers.n.to_bytes(256, "big")),
            "e": _base64(numbers.e.to_bytes(3, "big")),
        }

    def _write(self, name: str, content: bytes) -> Path:
        file = self.folder / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)
        return file


class SecuredKafka:
    """The broker, and the hand of its administrator."""

    def __init__(self, kafka: LocalKafka, papers: Papers, provider: TokenProvider) -> None:
        self.papers = papers
        self.provider = provider
        """Of tokens; it knows the clients that are put into `provider.clients`, by their secrets."""
        self.plain = kafka.bootstrap_servers
        self.secure = kafka.secured_listener("SECURE")
        self.mutual = kafka.secured_listener("MUTUAL")
        self._admin: Any = KafkaAdminClient(bootstrap_servers=self.plain)

    def close(self) -> None:
        self._admin.close()

    def add_user(self, name: str) -> dict[str, str]:
        """Make a user with a password; return the settings by which to be that user."""
        password = secrets.token_urlsafe(12)
        self.set_password(name, password)
        file = self.papers.secret(f"{name}.password", f"{password}\n")
        user = {
            "broker": self.secure,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": name,
            "sasl_password_file": str(file),
            "tls_ca_file": str(self.papers.ca),
        }
        wait_until(lambda: refusal_now(load_settings({}, user), 10) is None, "the broker knows of the user")
        return user

    def set_password(self, name: str, password: str) -> None:
        """For both kinds of SCRAM."""
        for mechanism in _MECHANISMS:  # Kafka changes a user once in a request
            self._alter(UserScramCredentialUpsertion(name, mechanism, password.encode()))

    def remove_user(self, name: str) -> None:
        """Nobody is let in under this name any more; who is in stays."""
        for mechanism in _MECHANISMS:
            self._alter(UserScramCredentialDeletion(name, mechanism))

    def _alter(self, alteration: Any) -> None:
        answer = self._admin.alter_user_scram_credentials([alteration])
        assert answer == {alteration.user: None}, answer

    def grant(self, name: str, grants: Iterable[Grant]) -> None:
        """Allow what the table says."""
        wanted = [acl for grant in grants for acl in _acls(f"User:{name}", grant)]
        done = self._admin.create_acls(wanted)
        assert not done["failed"], done
        wait_until(lambda: set(wanted) <= self._granted(name), "the broker knows of the grants")

    def revoke(self, name: str, grants: Iterable[Grant]) -> None:
        """Allow it no more."""
        wanted = [acl for grant in grants for acl in _acls(f"User:{name}", grant)]
        for _, found, _ in self._admin.delete_acls(wanted):
            assert len(found) == 1, wanted
        wait_until(lambda: not set(wanted) & self._granted(name), "the broker knows of it")

    def _granted(self, name: str) -> set[Any]:
        """What the broker itself goes by: it hears of a change a little later than the controller."""
        every = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        asked = ACLFilter(f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY, every)
        found, _ = self._admin.describe_acls(asked)
        return set(found)


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Start one for as long as the block lasts."""
    papers = Papers(folder)
    with (
        LocalKafka(
            secured={"SECURE": "SASL_SSL", "MUTUAL": "SSL"},
            settings=_settings(papers),
            jvm_options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={papers.jwks.as_uri()}"],
        ) as kafka,
        token_provider(lambda who: papers.token(who, seconds=60)) as provider,
    ):
        hand = SecuredKafka(kafka, papers, provider)
        try:
            yield hand
        finally:
            hand.close()


def _settings(papers: Papers) -> dict[str, str]:
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    bearer = "org.apache.kafka.common.security.oauthbearer"
    secure = "listener.name.secure"
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Brokers among themselves, and the hand of the test: on the plain listener nobody has a name.
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(papers.certificate("broker")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(papers.ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        f"{secure}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        f"{secure}.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'user_{PLAIN_USER}="{PLAIN_PASSWORD}";'
        ),
        f"{secure}.scram-sha-256.sasl.jaas.config": scram,
        f"{secure}.scram-sha-256.connections.max.reauth.ms": str(REAUTHENTICATED_AFTER_MS),
        f"{secure}.scram-sha-512.sasl.jaas.config": scram,
        f"{secure}.oauthbearer.sasl.jaas.config": f"{bearer}.OAuthBearerLoginModule required;",
        f"{secure}.oauthbearer.sasl.server.callback.handler.class": f"{bearer}.OAuthBearerValidatorCallbackHandler",
        "sasl.oauthbearer.jwks.endpoint.url": papers.jwks.as_uri(),
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        # By default an ended login is answered only after a while, against guessing.
        "connection.failed.authentication.delay.ms": "0",
    }


def _acls(principal: str, grant: Grant) -> Iterator[Any]:
    for name in grant.names:
        for operation in grant.operations:
            yield ACL(
                principal,
                "*",
                _OPERATIONS[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(_RESOURCES[grant.resource], name, _PATTERNS[grant.pattern]),
            )


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


_RSA: Final = trustme.KeyType.RSA
