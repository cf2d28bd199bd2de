"""What docs/configuration.md and config/ promise is true."""

import inspect
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from ingest.sources.registry import open_source
from tocsin import tenants
from tocsin.documents import load_document
from tocsin.domain.alert import Alert
from tocsin.domain.vocabulary import ROUTE_NAMES, faults
from tocsin.settings import Section, Settings, load_settings
from tocsin.tenant_files import load_tenants, survey_files, survey_tenants
from tocsin.tenants import TenantConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CONDITIONS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
SETTINGS = PAGE.partition("## All settings")[2].partition("## Secrets")[0]
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", SETTINGS, re.MULTILINE))


def settings() -> list[tuple[str, Any, str]]:
    """Each setting: dotted name, default, and what its docstring says."""
    found = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found += [
                (f"{name}.{key}", inner.default, meaning(kind, key))
                for key, inner in kind.model_fields.items()
            ]
        else:
            found.append((name, field.default, meaning(Settings, name)))
    return found


def meaning(model: type[BaseModel], key: str) -> str:
    """What the docstring of a model, or of what it inherits from, says of an attribute."""
    for each in model.__mro__:
        page = inspect.cleandoc(each.__doc__ or "")
        if found := re.search(rf"^    {key}: (.*(?:\n        .*)*)", page, re.MULTILINE):
            return re.sub(r"\s+", " ", found[1])
    raise LookupError(f"{model.__name__}.{key} is not documented")


def written(default: Any) -> str:
    """A default as a file would say it."""
    match default:
        case None | "":
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case timedelta():
            seconds = default.total_seconds()
            units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
            unit = next((u for u, length in units.items() if seconds % length == 0), "s")
            return f"`{seconds / units[unit]:g}{unit}`"
        case SecretStr():
            return written(default.get_secret_value())
        case _:
            return f"`{default}`"


@pytest.mark.parametrize(("name", "default", "text"), settings(), ids=lambda value: str(value)[:30])
def test_every_setting_is_documented(name: str, default: Any, text: str) -> None:
    """Every setting stands in the page with its default and the words of its docstring."""
    assert ROWS.get(name) == f"{written(default)} | {text}"


def test_every_key_of_tenant_files_is_documented() -> None:
    """Every key a tenant file may hold is mentioned."""
    models = [
        model
        for model in vars(tenants).values()
        if isinstance(model, type) and issubclass(model, Section) and model is not Section
    ]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert {key for key in keys if not re.search(rf"\b{key}\b", PAGE)} == set()


def test_every_field_of_an_alert_is_documented() -> None:
    """Every field of an alert that a condition may name is mentioned."""
    assert {name for name in Alert.__struct_fields__ if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_example_conditions_work(condition: str) -> None:
    """Every condition the page shows can be used in a route."""
    assert faults(condition, ROUTE_NAMES) == ()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_example_files_are_sound(block: str, tmp_path: Path) -> None:
    """Every YAML example of the page passes the lint, fragments with what they lean on."""
    file = tmp_path / "example.yaml"
    file.write_text(block)
    keys = load_document(file).data
    if not keys.keys() & TenantConfig.model_fields.keys():
        load_settings(file)
        return
    if "tenant" not in keys:
        receiver = "{name: %s, webhook: {url: 'https://example.org'}}"
        names = ("page", "post", "on-call", "soc-mail")
        receivers = ", ".join(receiver % name for name in names)
        file.write_text(f"{block}\ntenant: example\nreceivers: [{receivers}]\n")
    assert survey_files([file]).problems == ()


def test_shipped_examples_are_sound() -> None:
    """The example files pass the lint, and lead to each other."""
    settings = load_settings(ROOT / "config" / "tocsin.yaml")
    assert settings.tenants == ROOT / "config" / "tenants"
    assert survey_tenants(settings.tenants).problems == ()
    for tenant in load_tenants(settings.tenants).values():
        assert all(open_source(source) for source in tenant.sources)
        assert tenant.classifier()
        assert tenant.router()
