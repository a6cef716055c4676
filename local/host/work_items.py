"""What the engine hands to the dispatcher: durabletask work items for queued instances, activities and entities."""

from datetime import UTC, datetime
from enum import StrEnum

from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import ActivityWorkItem, EntityState, OrchestrationInstance


class WorkKind(StrEnum):
    """The three things that an app executes for the engine, each bounded by itself."""

    ORCHESTRATION = "orchestration"
    ACTIVITY = "activity"
    ENTITY = "entity"


def orchestration_item(instance: OrchestrationInstance) -> pb.WorkItem:
    """Move the pending events of an instance to its dispatched ones and make the work item.

    A replay begins with `orchestratorStarted`, whose time is the orchestrator's `current_utc_datetime`.
    """
    events = instance.dispatched_events = list(instance.pending_events)
    instance.pending_events.clear()
    if instance.history and not events[0].HasField("orchestratorStarted"):
        events.insert(0, helpers.new_orchestrator_started_event(datetime.now(UTC)))
    return pb.WorkItem(
        completionToken=str(instance.completion_token),
        orchestratorRequest=pb.OrchestratorRequest(
            instanceId=instance.instance_id, pastEvents=instance.history, newEvents=events
        ),
    )


def activity_item(activity: ActivityWorkItem) -> pb.WorkItem:
    """The work item of one activity; its completion token is the generation that asked for it."""
    return pb.WorkItem(
        completionToken=str(activity.completion_token),
        activityRequest=pb.ActivityRequest(
            name=activity.name,
            taskId=activity.task_id,
            input=helpers.get_string_value(activity.input),
            orchestrationInstance=pb.OrchestrationInstance(instanceId=activity.instance_id),
        ),
    )


def entity_item(entity: EntityState) -> pb.WorkItem:
    """Move the pending operations of an entity to its dispatched ones and make the work item."""
    operations = entity.dispatched_operations = list(entity.pending_operations)
    entity.pending_operations.clear()
    state = helpers.get_string_value(entity.serialized_state)
    return pb.WorkItem(
        completionToken=str(entity.completion_token),
        entityRequestV2=pb.EntityRequest(
            instanceId=entity.instance_id, entityState=state, operationRequests=operations
        ),
    )
