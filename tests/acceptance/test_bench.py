"""The benchmark's output, and a floor under its figures that noise does not reach."""

from tests.command import tocsin


async def test_pipeline_prints_its_ratio_as_json() -> None:
    """`bench pipeline --json` prints one object whose ratio is of figures of the same run."""
    ran = await tocsin("bench", "pipeline", "--count=50", "--at-least=0.1", "--json")
    assert ran.code == 0, ran
    (measured,) = ran.lines
    assert set(measured) == {"name", "value", "unit", "reference", "ratio"}
    assert (measured["name"], measured["unit"]) == ("pipeline", "alerts/s")
    assert min(measured["value"], measured["reference"]) > 0
    assert measured["ratio"] >= 0.1
    assert ran.errors.count("bare workflow") == 5


async def test_pipeline_below_the_ratio_asked_for_fails() -> None:
    """Below `--at-least` the result is printed, a sentence says so, and the code is 1."""
    ran = await tocsin("bench", "pipeline", "--count=1", "--at-least=100", "--json")
    assert ran.code == 1, ran
    (measured,) = ran.lines
    assert ran.errors.endswith(f"tocsin: the ratio {measured['ratio']:.3f} is below 100\n")
