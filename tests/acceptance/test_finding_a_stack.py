"""How the commands find whom to ask: by flag, by variables, or where they stand."""

from pathlib import Path

import pytest

from tests.command import tocsin
from tests.stack import RunningStack


@pytest.fixture
def here(stack: RunningStack) -> str:
    """The option that names the running stack."""
    return f"--data-dir={stack.data_dir}"


async def test_secrets_check(stack: RunningStack, here: str, tmp_path: Path) -> None:
    """`secrets check` finds the running stack as `doctor` does, by flag and by variable."""
    by_flag = await tocsin("secrets", "check", here, "--json", folder=tmp_path)
    folder = str(stack.data_dir)
    by_variable = await tocsin("secrets", "check", folder=tmp_path, TOCSIN_DATA_DIR=folder)
    assert (by_flag.code, by_flag.errors) == (0, "")
    assert "api.operator_token" in {line["where"] for line in by_flag.lines}
    assert (by_variable.code, by_variable.errors) == (0, "")
    assert len(by_variable.output.splitlines()) == len(by_flag.lines)


async def test_no_stack_here(tmp_path: Path) -> None:
    """Without a stack or settings, the commands say what to do, and end with 1."""
    for arguments in (("alert", "list"), ("dlq", "list"), ("balance",)):
        ran = await tocsin(*arguments, folder=tmp_path)
        assert (ran.code, ran.output) == (1, "")
        assert ran.errors == (
            "tocsin: no running stack at ./.tocsin; start one with `tocsin up`, "
            "or set TOCSIN_URL and TOCSIN_TOKEN\n"
        )


async def test_flag_comes_first(here: str) -> None:
    """`--data-dir` leads to its stack whatever the environment says."""
    ran = await tocsin("alert", "list", here, TOCSIN_URL="http://127.0.0.1:1", TOCSIN_TOKEN="x")
    assert (ran.code, ran.errors) == (0, "")


async def test_elsewhere(stack: RunningStack, tmp_path: Path) -> None:
    """TOCSIN_URL and TOCSIN_TOKEN lead to an interface anywhere; what is wrong is a sentence."""
    url, token = stack.endpoints.api, stack.endpoints.operator_token
    there = await tocsin("balance", folder=tmp_path, TOCSIN_URL=url, TOCSIN_TOKEN=token)
    assert "received" in there.output
    ingest = stack.endpoints.token
    refused = await tocsin("balance", folder=tmp_path, TOCSIN_URL=url, TOCSIN_TOKEN=ingest)
    assert (refused.code, "token is not accepted" in refused.errors) == (1, True)
    without = await tocsin("balance", folder=tmp_path, TOCSIN_URL=url)
    assert (without.code, "TOCSIN_TOKEN" in without.errors) == (2, True)
    nowhere = await tocsin(
        "balance", folder=tmp_path, TOCSIN_URL="http://127.0.0.1:1", TOCSIN_TOKEN=token
    )
    assert (nowhere.code, "does not answer" in nowhere.errors) == (1, True)
