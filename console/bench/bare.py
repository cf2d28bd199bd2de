"""The reference: a workflow of two local activities that do nothing."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tocsin.domain.work import AlertStart, Plan, Saved, SaveRequest

BARE_QUEUE = "tocsin-bench-bare"
_TIMEOUT = timedelta(seconds=10)


@workflow.defn(name="BareWorkflow")
class BareWorkflow:
    """Two local activities with payloads as an alert's workflow has them."""

    @workflow.run
    async def run(self, start: AlertStart) -> None:
        """Ask the first, then the second."""
        plan = await workflow.execute_local_activity(
            "BareTriage", start.ref, result_type=Plan, start_to_close_timeout=_TIMEOUT
        )
        await workflow.execute_local_activity(
            "BareSave",
            SaveRequest(ref=start.ref, verdict=plan.verdict, notes=plan.notes),
            result_type=Saved,
            start_to_close_timeout=_TIMEOUT,
        )
