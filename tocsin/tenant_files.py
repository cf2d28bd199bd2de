"""Reading tenant files, and everything that can be wrong in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from tocsin.contradictions import clashes, contradictions
from tocsin.documents import Document, check, in_order
from tocsin.domain.alert import TenantName
from tocsin.errors import ConfigError, Problem
from tocsin.layers import from_file
from tocsin.tenants import TenantConfig

log = structlog.get_logger()


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of tenant files holds.

    Attributes:
        tenants: Those whose own file has no problem.
        problems: Everything wrong in all files, in file order.
        files: Number of files read.
    """

    tenants: dict[TenantName, TenantConfig]
    problems: tuple[Problem, ...]
    files: int


def load_tenants(folder: Path) -> dict[TenantName, TenantConfig]:
    """Read the tenant files, `*.yaml`, of a folder; one tenant's mistake stops no other.

    What is wrong in the others is logged; `tocsin config lint` shows it too.

    Raises:
        ConfigError: No tenant is left.
    """
    surveyed = survey_tenants(folder)
    if surveyed.problems and not surveyed.tenants:
        raise ConfigError(surveyed.problems)
    for problem in surveyed.problems:
        log.error("tenant_file_unusable", file=problem.file, problem=str(problem))
    return surveyed.tenants


def survey_tenants(folder: Path) -> Survey:
    """Read all tenant files of a folder, the sound ones beside the problems of the others."""
    files = sorted(folder.glob("*.yaml"))
    survey = survey_files(files)
    problems = in_order([*_overlooked(folder, files), *survey.problems])
    return msgspec.structs.replace(survey, problems=problems)


def survey_files(files: Sequence[Path]) -> Survey:
    """Read tenant files, the sound ones beside the problems of the others."""
    problems: list[Problem] = []
    documents: list[Document] = []
    configs: dict[str, TenantConfig] = {}
    for file in files:
        try:
            documents.append(document := from_file(file))
            problems += contradictions(document)
            configs[str(file)] = check(TenantConfig, document)
        except ConfigError as error:
            problems += error.problems
    problems += clashes(documents)
    faulty = {problem.file for problem in problems}
    sound = [config for file, config in configs.items() if file not in faulty]
    return Survey(
        tenants={TenantName(config.tenant): config for config in sound},
        problems=in_order(problems),
        files=len(files),
    )


def _overlooked(folder: Path, files: list[Path]) -> Iterator[Problem]:
    if not files:
        message = "holds no tenant file" if folder.is_dir() else "is no folder"
        hint = "the setting tenants names the folder of tenant files, one *.yaml each"
        yield Problem(file=str(folder), message=message, hint=hint)
    for file in sorted(folder.glob("*.yml")):
        yield Problem(file=str(file), message="is not read", hint="name it *.yaml")
