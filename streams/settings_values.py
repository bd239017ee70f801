"""Types of the settings' values. Each one can state its requirement in words, for error messages."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo

from inference.attributes.names import NAMES as ATTRIBUTES
from inference.ranking.sentences import Language
from inference.retrieval.sources import NAMES

NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
NAME_START = re.compile(r"[A-Za-z0-9._-]{0,150}")
SECRET_BYTES = 32
CHARACTERS = "letters, digits, '.', '_' or '-'"


@dataclass(frozen=True, slots=True)
class Required:
    """The requirement of a type in words, which follow "required"."""

    words: str


def requirement(field: FieldInfo) -> str:
    """Return the requirement of a field in words: those of its type, or else its range."""
    for entry in field.metadata:
        if isinstance(entry, Required):
            return entry.words
    if field.annotation not in (int, float):
        return "text"
    kind = "a whole number" if field.annotation is int else "a number"
    limits = {type(entry): entry for entry in field.metadata}
    match limits.get(Ge), limits.get(Gt), limits.get(Le):
        case Ge(low), None, Le(high):
            return f"{kind} from {low:,} to {high:,}"
        case None, Gt(low), Le(high):
            return f"{kind} above {low:,}, at most {high:,}"
        case Ge(low), None, None:
            return f"{kind} of at least {low:,}"
    return kind


def _that(accepts: Callable[[str], object]) -> AfterValidator:
    """Return a validator of text. `Required` has its requirement, so the error needs no text of its own."""

    def validate(value: str) -> str:
        if not accepts(value):
            raise ValueError("required another value")
        return value

    return AfterValidator(validate)


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _in_any_case(choices: object) -> BeforeValidator:
    """Return a validator that spells a choice as the literal type `choices` does."""
    spelled = {str(choice).lower(): choice for choice in get_args(choices)}
    return BeforeValidator(lambda value: spelled.get(value.lower(), value) if isinstance(value, str) else value)


def _one_of(choices: object) -> Required:
    *others, last = map(str, get_args(choices))
    return Required(f"{', '.join(others)} or {last}")


def _is_address(address: str) -> bool:
    host, _, port = address.rpartition(":")
    # A name or an IPv4 address, or an IPv6 address in brackets.
    is_host = re.fullmatch(r"[^\s:,/\[\]]+|\[[0-9A-Fa-f:.]+\]", host) is not None
    return is_host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535


def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and name not in (".", "..")


Count = Annotated[int, Field(ge=1, le=1_000_000)]
Duration = Annotated[float, Field(gt=0, le=1_000_000)]
Port = Annotated[int, Field(ge=0, le=65535)]
Wait = Annotated[float, Field(ge=0, le=60_000)]
Weight = Annotated[float, Field(ge=0, le=100)]


def secret_bytes(text: str) -> bytes:
    """Return the 32 bytes of a key in base64. Raises ValueError if it is something else."""
    key = b64decode(text.strip(), validate=True)
    if len(key) != SECRET_BYTES:
        raise ValueError("required 32 bytes")
    return key


def _secrets(value: SecretStr | None) -> SecretStr | None:
    """Check keys that are separated by commas."""
    if value is not None:
        for text in value.get_secret_value().split(","):
            secret_bytes(text)
    return value


def _secret(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        secret_bytes(value.get_secret_value())
    return value


SecretKey = Annotated[
    SecretStr | None, AfterValidator(_secret), Required("32 bytes in base64, such as `openssl rand -base64 32` prints")
]
SecretKeys = Annotated[
    SecretStr | None,
    AfterValidator(_secrets),
    Required("32 bytes in base64, such as `openssl rand -base64 32` prints, or several separated by commas"),
]

Brokers = Annotated[
    str,
    BeforeValidator(lambda value: re.sub(r"\s*,\s*", ",", value.strip()) if isinstance(value, str) else value),
    _that(lambda value: all(map(_is_address, value.split(",")))),
    Required("HOST:PORT, or several separated by commas"),
]
_Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
_Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
_Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
_LogFormat = Literal["text", "json"]
_Payload = Literal["keep", "omit"]
_Console = Literal["off", "read", "write"]
Protocol = Annotated[_Protocol, _in_any_case(_Protocol), _one_of(_Protocol)]
Mechanism = Annotated[_Mechanism | None, _in_any_case(_Mechanism), _one_of(_Mechanism)]
Level = Annotated[_Level, _in_any_case(_Level), _one_of(_Level)]
LogFormat = Annotated[_LogFormat, _in_any_case(_LogFormat), _one_of(_LogFormat)]
Reasons = Annotated[Language, _in_any_case(Language), _one_of(Language)]
Payload = Annotated[_Payload, _in_any_case(_Payload), _one_of(_Payload)]
Console = Annotated[_Console, _in_any_case(_Console), _one_of(_Console)]

ROLES = ("read", "write", "admin")
"""Roles of a client of the HTTP service. An admin may do everything."""
_CLIENT = re.compile(r"[A-Za-z0-9._-]{1,64}:(?:read|write|admin)(?:\+(?:read|write|admin))*:[0-9a-f]{64}")


def _clients(value: SecretStr | None) -> SecretStr | None:
    """Check clients that are separated by commas. No two have one name or one token."""
    if value is not None:
        clients = [text.strip() for text in value.get_secret_value().split(",")]
        if not all(map(_CLIENT.fullmatch, clients)):
            raise ValueError("required other clients")
        for part in (0, 2):
            if len({client.split(":")[part] for client in clients}) < len(clients):
                raise ValueError("required distinct clients")
    return value


ClientTokens = Annotated[
    SecretStr | None,
    AfterValidator(_clients),
    Required(
        "NAME:ROLES:SHA256, or several separated by commas, with distinct names and hashes: ROLES are read, write or "
        "admin, joined by '+', and SHA256 is the token's hash in lower-case hexadecimal"
    ),
]
BaseUrl = Annotated[
    str | None,
    AfterValidator(lambda value: None if value is None else _url(value)),
    Required("http:// or https:// with host and port, and without a path"),
]
_ORIGIN = re.compile(r"https?://[^\s/?#@,]+")


def _url(value: str) -> str:
    if _ORIGIN.fullmatch(value.rstrip("/")) is None:
        raise ValueError("required another URL")
    return value.rstrip("/")


Origins = Annotated[
    tuple[Annotated[str, _that(_ORIGIN.fullmatch)], ...],
    BeforeValidator(_split),
    Required("origins such as https://shop.example, separated by commas"),
]

Host = Annotated[str, Field(min_length=1), Required("a host name or an address")]
Name = Annotated[str, _that(_is_name), Required(f"1 to 200 {CHARACTERS}")]
TopicName = Annotated[
    str, _that(_is_name), Required(f"a topic name: with INTENTSTREAM_TOPIC_PREFIX, 1 to 200 {CHARACTERS}")
]
TopicPrefix = Annotated[str, _that(NAME_START.fullmatch), Required(f"at most 150 {CHARACTERS}")]
Provider = Annotated[str, _that(re.compile("[A-Za-z0-9]+ExecutionProvider").fullmatch)]
Providers = Annotated[
    tuple[Provider, ...],
    BeforeValidator(_split),
    Field(min_length=1),
    Required("names such as CPUExecutionProvider, separated by commas"),
]
Source = Annotated[str, _that(NAMES.__contains__)]
Sources = Annotated[
    tuple[Source, ...],
    BeforeValidator(_split),
    Field(min_length=1),
    Required(f"one of {', '.join(NAMES)}, or several separated by commas"),
]
Attribute = Annotated[str, _that(ATTRIBUTES.__contains__)]
Attributes = Annotated[
    tuple[Attribute, ...],
    BeforeValidator(lambda value: () if value == "none" else _split(value)),
    Required(f"one of {', '.join(ATTRIBUTES)}, several separated by commas, or none"),
]
