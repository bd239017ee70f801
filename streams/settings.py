"""Settings of the streams, read once at the start and passed down. Nothing else reads INTENTSTREAM_* variables.

Settings are in groups: `settings.topics.clicks`. Variables are flat: INTENTSTREAM_CLICKS_TOPIC, in the environment or
in a `.env` file. An empty value counts as unset.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)  # fmt: skip

from streams.errors import ConfigurationError
from streams.settings_groups import PREFIX, Group, Kafka, Model, Ops, Privacy, State, Topics
from streams.settings_lists import Latency, Learning, Profile, Retrieval
from streams.settings_service import Assets, Http, Learner, Service
from streams.settings_values import requirement

log = logging.getLogger(__name__)

Origin = Literal["environment", ".env file"]
ENV_FILE = Path(".env")
TEST_PREFIX = "test_"
"""Start of the flat names that the project's tests read. They are no settings."""


class Settings(BaseSettings):
    """Settings of a worker or a command. They are frozen; a repr hides secrets."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka: Kafka = Kafka.model_validate({})
    topics: Topics = Topics.model_validate({})
    model: Model = Model.model_validate({})
    profile: Profile = Profile.model_validate({})
    retrieval: Retrieval = Retrieval.model_validate({})
    learning: Learning = Learning.model_validate({})
    learner: Learner = Learner.model_validate({})
    latency: Latency = Latency.model_validate({})
    state: State = State.model_validate({})
    assets: Assets = Assets.model_validate({})
    privacy: Privacy = Privacy.model_validate({})
    http: Http = Http.model_validate({})
    service: Service = Service.model_validate({})
    ops: Ops = Ops.model_validate({})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Pass the flat values of every source to each group, which takes its own."""
        flat = (init_settings(), _flat(env_settings), _flat(dotenv_settings))
        return tuple(InitSettingsSource(settings_cls, dict.fromkeys(cls.model_fields, values)) for values in flat)

    def given(self) -> dict[str, object]:
        """Return the values that were given, in contrast to the defaults, by flat name, for `load_settings`."""
        return {name: value for group in self._groups().values() for name, value in group.given().items()}

    def environment(self) -> dict[str, str]:
        """Return the variables that give the same settings to another process, with secrets in clear text."""
        return {PREFIX + name.upper(): as_text(value) for name, value in self.given().items()}

    def replace(self, **values: object) -> Self:
        """Return settings with other values, given by flat name. Raises ConfigurationError."""
        _require_known(values)
        changed = {SETTINGS[name].group for name in values}
        try:
            changes = {
                name: type(group).model_validate({**group.given(), **values})
                for name, group in self._groups().items()
                if name in changed
            }
        except ValidationError as error:
            raise _configuration_error(error) from None
        return self.model_copy(update=changes)

    def _groups(self) -> dict[str, Group]:
        return {name: getattr(self, name) for name in type(self).model_fields}


@dataclass(frozen=True, slots=True)
class Setting:
    """Definition of a setting: the value at `settings.GROUP.ATTRIBUTE`."""

    name: str
    """Flat name: in lower case and without the prefix of the variable."""
    group: str
    attribute: str
    field: FieldInfo

    def of(self, settings: Settings) -> object:
        """Return the value."""
        return getattr(getattr(settings, self.group), self.attribute)

    @property
    def variable(self) -> str:
        """Environment variable."""
        return PREFIX + self.name.upper()

    @property
    def description(self) -> str:
        """Meaning in a few words."""
        return self.field.description or ""

    @property
    def default(self) -> object:
        """Value if the variable is unset."""
        return self.field.default

    @property
    def secret(self) -> bool:
        """Whether the value must not be shown."""
        return "SecretStr" in str(self.field.annotation)


def _definitions() -> Iterable[Setting]:
    for group, of_group in Settings.model_fields.items():
        fields: dict[str, FieldInfo] = of_group.annotation.model_fields  # type: ignore[union-attr]  # a Group
        yield from (Setting(field.alias or name, group, name, field) for name, field in fields.items())


SETTINGS: Mapping[str, Setting] = {setting.name: setting for setting in _definitions()}
"""All settings by flat name, in the order of the groups."""


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    env_file: Path | None = ENV_FILE,
    warn: Callable[[str], object] = log.warning,
) -> Settings:
    """Read the settings: `overrides` (by flat name) come first, then the environment, then `env_file`.

    Calls `warn` with a sentence for each variable that is no setting. Raises ConfigurationError, with one line for each
    problem: the variable, the requirement and the value (secrets excepted).
    """
    given: dict[str, Any] = dict(overrides or {})
    _require_known(given)
    for sentence in unknown_variables(env_file):
        warn(sentence)
    try:
        return Settings(_env_file=env_file, **given)  # type: ignore[call-arg]  # pydantic-settings' own argument
    except ValidationError as error:
        # `from None`: the original error contains the values, secrets included.
        raise _configuration_error(error) from None


def origins(env_file: Path | None = ENV_FILE) -> dict[str, Origin]:
    """Return the origin of each variable that is set, by flat name. The others have their default."""
    environment, file = EnvSettingsSource(Settings), DotEnvSettingsSource(Settings, env_file=env_file)
    return {**dict.fromkeys(_flat(file), ".env file"), **dict.fromkeys(_flat(environment), "environment")}


def unknown_variables(env_file: Path | None = ENV_FILE) -> list[str]:
    """Return a sentence for each INTENTSTREAM_* variable that is no setting, with the most similar setting.

    They are no error: a variable of a newer or older version must not stop a worker.
    """
    sentences = []
    for name, origin in sorted(origins(env_file).items()):
        if name not in SETTINGS and not name.startswith(TEST_PREFIX):
            sentence = f"{PREFIX}{name.upper()} in the {origin} is no setting and has no effect"
            similar = get_close_matches(name, SETTINGS, n=1, cutoff=0.7)
            sentences.append(sentence + (f"; did you mean {SETTINGS[similar[0]].variable}?" if similar else ""))
    return sentences


def as_text(value: object) -> str:
    """Return a value as in an environment variable. Secrets are in clear text."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _flat(source: PydanticBaseSettingsSource) -> dict[str, str]:
    variables: Mapping[str, str | None] = source.env_vars  # type: ignore[attr-defined]  # lower case, without empty ones
    prefix = PREFIX.lower()
    return {name.removeprefix(prefix): value for name, value in variables.items() if value and name.startswith(prefix)}


def _require_known(names: Iterable[str]) -> None:
    if unknown := sorted(set(names) - SETTINGS.keys()):
        raise ConfigurationError(f"unknown settings: {', '.join(unknown)}")


def _configuration_error(error: ValidationError) -> ConfigurationError:
    return ConfigurationError("\n".join(map(_sentence, error.errors(include_url=False))))


def _sentence(problem: Mapping[str, Any]) -> str:
    setting = next((SETTINGS[part] for part in problem["loc"] if part in SETTINGS), None)
    if setting is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    value = problem["input"]
    got = "a secret value" if setting.secret else repr(as_text(value) if isinstance(value, tuple) else value)[:80]
    return f"{setting.variable} ({setting.description}): required {requirement(setting.field)}, got {got}"
