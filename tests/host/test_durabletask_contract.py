"""The private parts of durabletask and of the worker library that the host builds on, as they were when it was written.

A new version is taken by reading what changed in the named methods, mending the engine, and then changing this table.
"""

import dataclasses
import inspect
from importlib.metadata import version

import azure_functions_runtime as runtime
import pytest
from azure_functions_runtime import native_invocation
from azure_functions_runtime.utils.executor import invocation_id_cv
from durabletask.testing import in_memory_backend
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend

METHODS = {
    "AbandonTaskOrchestratorWorkItem": "(request, context)",
    "CleanEntityStorage": "(request, context)",
    "CompleteActivityTask": "(request, context)",
    "CompleteEntityTask": "(request, context)",
    "CompleteOrchestratorTask": "(request, context)",
    "PurgeInstances": "(request, context)",
    "RaiseEvent": "(request, context)",
    "RestartInstance": "(request, context)",
    "ResumeInstance": "(request, context)",
    "RewindInstance": "(request, context)",
    "SignalEntity": "(request, context)",
    "StartInstance": "(request, context)",
    "SuspendInstance": "(request, context)",
    "TerminateInstance": "(request, context)",
    "_create_instance_internal": "(instance_id, name, encoded_input, version)",
    "_enqueue_entity": "(entity_id)",
    "_enqueue_orchestration": "(instance_id)",
    "_is_terminal_status": "(status)",
    "_notify_waiters": "(instance_id)",
    "_process_complete_orchestration_action": "(instance, complete_action)",
    "_process_create_sub_orchestration_action": "(instance, action)",
    "_process_create_timer_action": "(instance, action)",
    "_process_schedule_task_action": "(instance, action)",
    "_queue_entity_operation": "(entity_id, event)",
    "_schedule_delayed_entity_operation": "(entity_id, event, fire_at)",
    "_watch_sub_orchestration": "(parent_instance_id, sub_instance_id, task_id)",
    "start": "()",
    "stop": "(grace)",
}

ATTRIBUTES = {
    "_lock": "RLock",
    "_instances": "dict",
    "_orchestration_queue": "deque",
    "_orchestration_queue_set": "set",
    "_orchestration_in_flight": "set",
    "_activity_queue": "deque",
    "_entities": "dict",
    "_entity_queue": "deque",
    "_entity_queue_set": "set",
    "_entity_in_flight": "set",
    "_next_completion_token": "int",
    "_state_waiters": "dict",
    "_work_available": "Event",
    "_shutdown_event": "Event",
    "_server": "NoneType",
    "_port": "int",
    "_logger": "Logger",
}

FIELDS = {
    "OrchestrationInstance": (
        "instance_id name status version input output custom_status created_at last_updated_at completed_at "
        "failure_details history pending_events dispatched_events completion_token tags"
    ),
    "ActivityWorkItem": "instance_id name task_id input completion_token version",
    "EntityState": (
        "instance_id serialized_state last_modified_at locked_by pending_operations dispatched_operations "
        "completion_token"
    ),
}


def test_the_versions_are_those_that_were_read() -> None:
    assert (version("durabletask"), version("azure-functions-runtime")) == ("1.12.0", "1.3.0")


@pytest.mark.parametrize("name", METHODS)
def test_methods_have_the_same_parameters(name: str) -> None:
    parameters = list(inspect.signature(getattr(InMemoryOrchestrationBackend, name)).parameters)[1:]
    assert f"({', '.join(parameters)})" == METHODS[name]


def test_attributes_have_the_same_types() -> None:
    backend = InMemoryOrchestrationBackend()
    assert {name: type(getattr(backend, name)).__name__ for name in ATTRIBUTES} == ATTRIBUTES


@pytest.mark.parametrize("name", FIELDS)
def test_state_has_the_same_fields(name: str) -> None:
    fields = dataclasses.fields(getattr(in_memory_backend, name))
    assert " ".join(field.name for field in fields) == FIELDS[name]


def test_completing_a_replay_calls_what_the_engine_overrides() -> None:
    used = {
        InMemoryOrchestrationBackend.CompleteOrchestratorTask: (
            "_process_action",
            "_notify_waiters",
            "in_flight.discard",
        ),
        InMemoryOrchestrationBackend._process_create_sub_orchestration_action: ("_watch_sub_orchestration",),
        InMemoryOrchestrationBackend.TerminateInstance: ("_terminate_instance_internal",),
    }
    for method, names in used.items():
        source = inspect.getsource(method)
        assert [name for name in names if name not in source] == []


def test_the_worker_library_is_called_the_same_way() -> None:
    parameters = list(inspect.signature(native_invocation.invocation_request_native).parameters)
    assert parameters[:4] == ["invocation_id", "function_id", "inputs", "trigger_metadata"]
    assert list(inspect.signature(runtime.worker_init_request).parameters) == ["request"]
    assert invocation_id_cv.name == "invocation_id"
    assert "logger.exception(" in inspect.getsource(native_invocation.invocation_request_native)
