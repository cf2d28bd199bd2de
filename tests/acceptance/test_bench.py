"""The benchmark's output, not its figures."""

from tests.command import tocsin


async def test_pipeline_prints_its_ratio_as_json() -> None:
    """`bench pipeline --json` prints one object whose ratio is of figures of the same run."""
    ran = await tocsin("bench", "pipeline", "--count=10", "--json")
    assert ran.code == 0, ran
    (measured,) = ran.lines
    assert set(measured) == {"name", "value", "unit", "reference", "ratio"}
    assert (measured["name"], measured["unit"]) == ("pipeline", "alerts/s")
    assert min(measured["value"], measured["reference"], measured["ratio"]) > 0
    assert ran.errors.count("bare workflow") == 5
