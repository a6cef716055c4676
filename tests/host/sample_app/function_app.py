"""A small app with one function of every kind that the host runs; the host tests start it as a process of its own."""

# mypy: disable-error-code="arg-type"
# The decorators are typed for the two-argument style; one argument runs on 1.x and on 2.x.

import json
import logging
import os
import threading
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import grpc

if os.environ.get("SAMPLE_BROKEN"):
    raise RuntimeError(f"ConfigurationError: SAMPLE_BROKEN is {os.environ['SAMPLE_BROKEN']}")

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
LOG = Path(os.environ.get("SAMPLE_LOG", os.devnull))
Steps = Generator[Any, Any, Any]

_log = logging.getLogger("sample")


class Gauge:
    """How many are inside at the same time, and how many were at most."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self._changed.notify_all()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self.now -= 1

    def wait_for(self, number: int) -> bool:
        """Wait until as many have been inside at once; False after 10 s."""
        with self._changed:
            return self._changed.wait_for(lambda: self.most >= number, timeout=10)


_guests = Gauge()
_activities = Gauge()


def note(text: str) -> None:
    """Append a line to the file that the tests read."""
    with LOG.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


# -- HTTP


@app.route(route="echo/{name}/{number:int?}", methods=["GET", "POST", "HEAD"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with what arrived."""
    _log.info("echo of %s", req.route_params.get("name"))
    print("printed")
    content = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "header": req.headers.get("X-Test"),
        "body": req.get_body().hex(),
    }
    headers = {"X-Answer": "yes", "Set-Cookie": "a=b; Path=/"}
    return func.HttpResponse(json.dumps(content), status_code=201, headers=headers, mimetype="application/json")


@app.route(route="bytes", methods=["POST"])
def length(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the number of bytes."""
    return func.HttpResponse(str(len(req.get_body())))


@app.route(route="raise", methods=["GET"])
def raise_error(req: func.HttpRequest) -> func.HttpResponse:
    """Fail."""
    raise ValueError("a fault of the app")


@app.route(route="meet", methods=["GET"])
def meet(req: func.HttpRequest) -> func.HttpResponse:
    """Answer when as many requests are here as `n` says: only concurrent requests can."""
    with _guests:
        return func.HttpResponse("met" if _guests.wait_for(int(req.params["n"])) else "alone")


@app.route(route="{ignored:maxlength(0)?}", methods=["GET"])
def zz_root(req: func.HttpRequest) -> func.HttpResponse:
    """The page at the root."""
    return func.HttpResponse("<p>root</p>", mimetype="text/html")


@app.route(route="start/{orchestrator}/{instance}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Start an orchestration; 409 when one of that id runs."""
    body = req.get_body()
    try:
        await client.schedule_new_orchestration(
            req.route_params["orchestrator"],
            input=json.loads(body) if body else None,
            instance_id=req.route_params["instance"],
        )
    except grpc.aio.AioRpcError as error:
        return func.HttpResponse(str(error.code()), status_code=409)
    return func.HttpResponse(status_code=202)


@app.route(route="status/{instance}", methods=["GET"])
@app.durable_client_input(client_name="client")
def status(req: func.HttpRequest, client: Any) -> func.HttpResponse:
    """The state of an instance, asked by a synchronous function."""
    state = client.get_orchestration_state(req.route_params["instance"], fetch_payloads=True)
    if state is None:
        return func.HttpResponse(status_code=404)
    failure = state.failure_details
    content = {
        "status": state.runtime_status.name,
        "output": json.loads(state.serialized_output) if state.serialized_output else None,
        "custom": json.loads(state.serialized_custom_status) if state.serialized_custom_status else None,
        "failure": [failure.error_type, failure.message] if failure else None,
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


@app.route(route="control/{action}/{instance}", methods=["POST"])
@app.durable_client_input(client_name="client")
def control(req: func.HttpRequest, client: Any) -> func.HttpResponse:
    """Raise an event or terminate, suspend, resume or purge an instance."""
    instance = req.route_params["instance"]
    match req.route_params["action"]:
        case "event":
            client.raise_orchestration_event(instance, req.params["name"], data=req.get_body().decode())
        case "terminate":
            client.terminate_orchestration(instance)
        case "suspend":
            client.suspend_orchestration(instance)
        case "resume":
            client.resume_orchestration(instance)
        case "purge":
            client.purge_orchestration(instance)
    return func.HttpResponse(status_code=202)


# -- timers


@app.timer_trigger(schedule="%SAMPLE_SCHEDULE%", arg_name="timer", run_on_startup=False)
def tick(timer: func.TimerRequest) -> None:
    """Note that the timer fired."""
    note(f"tick past_due={timer.past_due}")


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
def yearly(timer: func.TimerRequest) -> None:
    """Runs at the start and by the admin call only."""
    note(f"yearly past_due={timer.past_due}")


# -- activities


@app.activity_trigger(input_name="number")
def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


@app.activity_trigger(input_name="seconds")
def slow(seconds: float) -> float:
    """Take time; notes its begin and its end."""
    note(f"slow begins {seconds}")
    time.sleep(seconds)
    note(f"slow ends {seconds}")
    return seconds


@app.activity_trigger(input_name="text")
def write_note(text: str) -> str:
    """Note a text."""
    note(text)
    return text


@app.activity_trigger(input_name="text")
def fail(text: str) -> None:
    """Fail with the text."""
    raise LookupError(text)


@app.durable_client_input(client_name="client")
@app.activity_trigger(input_name="target")
def wake(target: str, client: Any) -> str:
    """Raise an event from within an activity."""
    client.raise_orchestration_event(target, "wake", data="from an activity")
    return target


# -- orchestrators


@app.orchestration_trigger(context_name="context")
def fan_out(context: Any) -> Steps:
    """Double `n` numbers at once."""
    results = yield context.task_all([context.call_activity("double", i) for i in range(context.get_input())])
    return sum(results)


@app.orchestration_trigger(context_name="context")
def slow_fan_out(context: Any) -> Steps:
    """Each of the given seconds as an activity."""
    results = yield context.task_all([context.call_activity("slow", s) for s in context.get_input()])
    return results


@app.orchestration_trigger(context_name="context")
def wait_timer(context: Any) -> Steps:
    """Wait the given seconds."""
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    yield context.call_activity("write_note", f"timer {context.instance_id}")
    return "waited"


@app.orchestration_trigger(context_name="context")
def parent(context: Any) -> Steps:
    """Wait for a child that waits."""
    child = context.call_sub_orchestrator("wait_timer", context.get_input(), f"{context.instance_id}-child")
    result = yield child
    return f"child {result}"


@app.orchestration_trigger(context_name="context")
def parent_of_failing(context: Any) -> Steps:
    """Wait for a child that fails."""
    yield context.call_sub_orchestrator("failing", "deep\nreason: 'quoted'", f"{context.instance_id}-child")


@app.orchestration_trigger(context_name="context")
def failing(context: Any) -> Steps:
    """Let an activity fail."""
    yield context.call_activity("fail", context.get_input())


@app.orchestration_trigger(context_name="context")
def catching(context: Any) -> Steps:
    """Give back the text of an activity's failure."""
    try:
        yield context.call_activity("fail", context.get_input())
    except Exception as error:  # noqa: BLE001 - whatever the engine raises is what is shown
        return str(error)


@app.orchestration_trigger(context_name="context")
def race(context: Any) -> Steps:
    """Event or timer, whichever comes first; the custom status says that it waits."""
    event = context.wait_for_external_event("go")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    context.set_custom_status("waiting")
    first = yield context.task_any([event, timer])
    if first is event:
        timer.cancel()
        return event.result
    return "late"


@app.orchestration_trigger(context_name="context")
def waker(context: Any) -> Steps:
    """Wake another instance through an activity with a durable client."""
    result = yield context.call_activity("wake", context.get_input())
    return result


@app.orchestration_trigger(context_name="context")
def loop(context: Any) -> Steps:
    """Count rounds with continue_as_new; each leaves a timer and an activity of its generation behind."""
    given = context.get_input()
    if given["round"] == given["rounds"]:
        result = yield context.call_activity("double", given["round"])
        return result
    context.call_activity("slow", 0.2)
    yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=30))
    context.continue_as_new({**given, "round": given["round"] + 1})
    return None


@app.orchestration_trigger(context_name="context")
def monitor(context: Any) -> Steps:
    """Look at a marker first, then wait for a wake-up: an event lost between generations costs nothing."""
    given = context.get_input()
    if (yield context.call_activity("read_marker", given["marker"])):
        return given["round"]
    wait = context.wait_for_external_event("wake")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=20))
    yield context.task_any([wait, timer])
    timer.cancel()
    context.continue_as_new({**given, "round": given["round"] + 1})
    return None


@app.activity_trigger(input_name="path")
def read_marker(path: str) -> bool:
    """Whether the marker is there."""
    return Path(path).exists()


@app.activity_trigger(input_name="seconds")
def counted(seconds: float) -> int:
    """How many of these ran at the same time so far."""
    with _activities:
        time.sleep(seconds)
    return _activities.most


@app.orchestration_trigger(context_name="context")
def crowd(context: Any) -> Steps:
    """The highest number of activities that ran at once, of 40."""
    results = yield context.task_all([context.call_activity("counted", 0.05) for _ in range(40)])
    return max(results)


@app.orchestration_trigger(context_name="context")
def long_history(context: Any) -> Steps:
    """One activity after another."""
    total = 0
    for i in range(context.get_input()):
        total += yield context.call_activity("double", i)
    return total


# -- entities


@app.entity_trigger(context_name="context")
def counter(context: Any) -> None:
    """Add and tell."""
    if context.operation_name == "add":
        context.set_state((context.get_state(lambda: 0) or 0) + context.get_input())
    context.set_result(context.get_state(lambda: 0))


@app.orchestration_trigger(context_name="context")
def count(context: Any) -> Steps:
    """Add to an entity and read it."""
    entity = df.EntityId("counter", "one")
    yield context.call_entity(entity, "add", context.get_input())
    result = yield context.call_entity(entity, "get")
    return result
