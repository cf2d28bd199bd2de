"""`config`: what is wrong in tocsin.yaml and the tenant files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.options import AsJson, Config
from console.commands.output import print_json

if TYPE_CHECKING:
    from tocsin.errors import Problem

app = typer.Typer(name="config", help="Check configuration files.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Check configuration files."""


@app.command()
def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Files, or folders of tenant files."),
    ] = None,
    config: Config = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Report every problem with file, line and a hint; exit code 2 when there are any.

    Without PATH, checks tocsin.yaml, the TOCSIN_* variables and the tenants they name.
    """
    from tocsin.documents import in_order

    files = 0
    problems: list[Problem] = []
    for path in paths or []:
        count, found = _lint_path(path)
        files, problems = files + count, [*problems, *found]
    if config or not paths:
        count, found = _lint_installation(config)
        files, problems = files + count, [*problems, *found]
    _print(files, in_order(problems), as_json=as_json)
    if problems:
        raise typer.Exit(2)


def _lint_path(path: Path) -> tuple[int, tuple["Problem", ...]]:
    """Check a folder of tenant files, or one file of either kind."""
    from tocsin.documents import load_document
    from tocsin.errors import ConfigError
    from tocsin.settings import load_settings
    from tocsin.tenant_files import survey_files, survey_tenants
    from tocsin.tenants import TenantConfig

    if path.is_dir():
        survey = survey_tenants(path)
        return survey.files, survey.problems
    try:
        if TenantConfig.model_fields.keys() & load_document(path).data.keys():
            return 1, survey_files([path]).problems
        load_settings(path)
    except ConfigError as error:
        return 1, error.problems
    return 1, ()


def _lint_installation(config: Path | None) -> tuple[int, tuple["Problem", ...]]:
    """Check the settings as a process would read them, and the tenants they name."""
    from tocsin.errors import ConfigError
    from tocsin.settings import load_settings, settings_file
    from tocsin.tenant_files import survey_tenants

    file = settings_file(config)
    problems: tuple[Problem, ...] = ()
    try:
        folder = load_settings(config).tenants
    except ConfigError as error:
        folder, problems = _tenants_folder(file), error.problems
    survey = survey_tenants(folder)
    return survey.files + (file is not None), (*problems, *survey.problems)


def _tenants_folder(file: Path | None) -> Path:
    """Where tenant files are, as far as a file of unsound settings tells."""
    from tocsin.errors import ConfigError
    from tocsin.layers import from_file
    from tocsin.settings import Settings

    default = Settings().tenants
    try:
        return (
            Path(str(from_file(file, Settings).data.get("tenants", default))) if file else default
        )
    except ConfigError:
        return default


def _print(files: int, problems: tuple["Problem", ...], *, as_json: bool) -> None:
    for problem in problems:
        if as_json:
            print_json(problem)
        else:
            typer.echo(problem)
    if not problems and not as_json:
        typer.echo(f"{files} {'file' if files == 1 else 'files'}, no problems")
