"""The story of one alert."""

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.notify import Notifying
    from activities.save import Saving
    from activities.triage import Triage
    from tocsin.domain.alert import AlertRef
    from tocsin.domain.work import AlertStart, NotifyRequest, Plan, Saved, SaveRequest
    from workflows import policies


@workflow.defn(name="AlertWorkflow")
class AlertWorkflow:
    """One alert from triage to the last notification.

    An alert that asks nobody outside costs two local activities. What leaves the machine is a
    normal activity on a queue of its own, between triage and saving or after it.
    """

    @workflow.run
    async def run(self, start: AlertStart) -> None:
        """Judge the alert, store the judgement, tell whom it concerns."""
        plan = await self._triage(start)
        saved = await self._save(start.ref, plan)
        if saved.notifications:
            await self._tell(start.ref, saved)
            await self._finish(start.ref)

    async def _triage(self, start: AlertStart) -> Plan:
        return await workflow.execute_local_activity_method(
            Triage.run,
            start.ref,
            start_to_close_timeout=policies.LOCAL_TIMEOUT,
            retry_policy=policies.LOCAL_RETRY,
        )

    async def _save(self, ref: AlertRef, plan: Plan) -> Saved:
        return await workflow.execute_local_activity_method(
            Saving.save,
            SaveRequest(ref=ref, verdict=plan.verdict, notes=plan.notes),
            start_to_close_timeout=policies.LOCAL_TIMEOUT,
            retry_policy=policies.LOCAL_RETRY,
        )

    async def _tell(self, ref: AlertRef, saved: Saved) -> None:
        """Send every notification; one that cannot be sent never stops the others."""
        outcomes = await asyncio.gather(
            *(self._notify(ref, notification) for notification in saved.notifications),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _notify(self, ref: AlertRef, notification: str) -> None:
        """Send one notification, and in its place the fallback's when it fails for good."""
        while notification:
            outcome = await workflow.execute_activity_method(
                Notifying.send,
                NotifyRequest(tenant=ref.tenant, notification=notification),
                task_queue=policies.notify_queue(ref.tenant),
                start_to_close_timeout=policies.NOTIFY_TIMEOUT,
                retry_policy=policies.NOTIFY_RETRY,
            )
            notification = outcome.fallback

    async def _finish(self, ref: AlertRef) -> None:
        await workflow.execute_local_activity_method(
            Saving.finish,
            ref,
            start_to_close_timeout=policies.LOCAL_TIMEOUT,
            retry_policy=policies.LOCAL_RETRY,
        )
