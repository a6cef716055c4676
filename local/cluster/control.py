"""The control endpoint: what tests and the ARM emulator do to the cluster from outside. Plain JSON, no token;
a `Host` (and `Origin`) that is not this machine's gets 403.

GET    /state                      {"powered", "nodes": {name: {"ready", "running_pods"}}, "counts", ...}
GET    /calls[?since=<mark>]       {"list pods": 3, ...} since the start or the mark
POST   /calls/mark                 {"mark": n}
GET    /times?label_selector=...   {"jobs": {name: {"labels", "created", "ended"}}, "pods": {name: {.., "job",
                                       "started"}}} with microseconds; a time that has not come is left out
POST   /faults                     {latency_ms | status, retry_after, reset, count, method, path_regex}
DELETE /faults                     end all faults
POST   /images                     {"add": [..], "deny": [..], "slow": {"image": seconds}}
POST   /nodes/{name}               {"action": "lose" | "stop" | "start" | "replace" | "usage"}; a replaced
                                       node may get a "new_name", "usage" is {"cpu", "memory"} for its NodeMetrics
POST   /pods/{ns}/{name}/evict     as the eviction API
POST   /pods/{ns}/{name}/oom       kill the containers as out of memory (exit 137, OOMKilled)
POST   /pods/{ns}/{name}/clip-log  {"keep_bytes": n}: cut the logs to their last bytes
POST   /power                      {"state": "stopped" | "running"}
POST   /pace                       {"label_selector", "delay_seconds"}: matching pods wait before their
                                       command; 0 ends that
POST   /inject                     {"label_selector", "env": {name: value}}: pods that a Deployment makes from
                                       now on get these too; an empty "env" ends that
POST   /clock                      {"skew_seconds": n}
POST   /token                      {"token": "..."}: the old one gets 401 from now on
POST   /continue/expire            every `continue` handed out so far answers 410
POST   /history/expire             every resourceVersion so far is too old for a watch (410)
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.cluster import podlog
from local.cluster.cluster import Cluster
from local.cluster.errors import ApiError
from local.cluster.faults import Fault
from local.cluster.kinds import ALL_KINDS, NODES, PODS
from local.cluster.nodes import is_ready
from local.cluster.paths import Target
from local.loopback import is_local

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A web page is refused; wrong input is answered as 400, an unknown object as 404, with the text."""
    if not is_local(request):
        return web.json_response({"error": "the control endpoint is for this machine only"}, status=403)
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response({"error": error.message}, status=error.code)
    except (KeyError, ValueError, TypeError) as error:
        return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)


class Control:
    """The control endpoint of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> int:
        """Listen on the loopback address; returns the port."""
        app = web.Application(middlewares=[_guard])
        app.router.add_get("/state", self._state)
        app.router.add_get("/calls", self._calls)
        app.router.add_post("/calls/mark", self._mark)
        app.router.add_get("/times", self._times)
        app.router.add_post("/faults", self._add_fault)
        app.router.add_delete("/faults", self._clear_faults)
        app.router.add_post("/images", self._images)
        app.router.add_post("/nodes/{name}", self._node)
        app.router.add_post("/pods/{namespace}/{name}/{action}", self._pod)
        app.router.add_post("/power", self._power)
        app.router.add_post("/pace", self._pace)
        app.router.add_post("/inject", self._inject)
        app.router.add_post("/clock", self._clock)
        app.router.add_post("/token", self._token)
        app.router.add_post("/{what:continue|history}/expire", self._expire)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _state(self, _request: web.Request) -> web.Response:
        cluster, store = self._cluster, self._cluster.store
        running = [pod for pod in store.objects(PODS) if pod["status"].get("phase") == "Running"]
        nodes = {}
        for node in store.listing(NODES):
            name = node["metadata"]["name"]
            count = sum(1 for pod in running if pod["spec"].get("nodeName") == name)
            nodes[name] = {"ready": is_ready(node), "running_pods": count}
        counts = {kind.resource: store.count(kind) for kind in ALL_KINDS if store.count(kind)}
        state = {"powered": cluster.powered, "nodes": nodes, "counts": counts, "port": cluster.port}
        return web.json_response(state | {"running_pods": cluster.kubelet.running_pods})

    async def _calls(self, request: web.Request) -> web.Response:
        return web.json_response(self._cluster.calls.since(int(request.query.get("since", "0"))))

    async def _mark(self, _request: web.Request) -> web.Response:
        return web.json_response({"mark": self._cluster.calls.mark()})

    async def _times(self, request: web.Request) -> web.Response:
        return web.json_response(self._cluster.times.of(request.query.get("label_selector", "")))

    async def _add_fault(self, request: web.Request) -> web.Response:
        self._cluster.faults.add(Fault.from_json(await request.json()))
        return web.json_response({})

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._cluster.faults.clear()
        return web.json_response({})

    async def _images(self, request: web.Request) -> web.Response:
        body = await request.json()
        for image in body.get("add") or []:
            self._cluster.images.add(image)
        for image in body.get("deny") or []:
            self._cluster.images.deny(image)
        for image, seconds in (body.get("slow") or {}).items():
            self._cluster.images.slow(image, float(seconds))
        return web.json_response({})

    async def _node(self, request: web.Request) -> web.Response:
        body, name, cluster = await request.json(), request.match_info["name"], self._cluster
        cluster.node_spec(name)
        match body["action"]:
            case "lose":
                cluster.lose_node(name)
            case "stop":
                cluster.stop_node(name)
            case "start":
                cluster.start_node(name)
            case "replace":
                cluster.replace_node(name, body.get("new_name") or name)
            case "usage":
                cluster.verbs.usage[name] = dict(body["usage"])
            case other:
                raise ValueError(f"unknown action {other}")
        return web.json_response({})

    async def _pod(self, request: web.Request) -> web.Response:
        cluster, info = self._cluster, request.match_info
        namespace, name = info["namespace"], info["name"]
        pod = cluster.store.get(PODS, namespace, name)
        body = json.loads(await request.text() or "{}")
        match info["action"]:
            case "evict":
                cluster.verbs.run("create", Target(PODS, namespace, name, "eviction"), {}, {}, body)
            case "oom":
                runner = cluster.kubelet.runner_of(pod["metadata"]["uid"])
                if runner is None:
                    raise ValueError("the pod does not run")
                runner.run_out_of_memory()
            case "clip-log":
                podlog.clip(cluster.kubelet.log_folder(pod), int(body["keep_bytes"]))
            case other:
                raise ValueError(f"unknown action {other}")
        return web.json_response({})

    async def _power(self, request: web.Request) -> web.Response:
        state = (await request.json())["state"]
        if state not in ("stopped", "running"):
            raise ValueError("state must be stopped or running")
        await (self._cluster.start_power() if state == "running" else self._cluster.stop_power())
        return web.json_response({"state": state})

    async def _inject(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._cluster.deployments.inject(body["label_selector"], dict(body["env"]))
        return web.json_response({})

    async def _pace(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._cluster.pace.set(body["label_selector"], float(body["delay_seconds"]))
        return web.json_response({})

    async def _clock(self, request: web.Request) -> web.Response:
        self._cluster.clock.skew_seconds = float((await request.json())["skew_seconds"])
        return web.json_response({})

    async def _token(self, request: web.Request) -> web.Response:
        self._cluster.api.token = str((await request.json())["token"])
        return web.json_response({})

    async def _expire(self, request: web.Request) -> web.Response:
        if request.match_info["what"] == "continue":
            self._cluster.lists.expire_continues()
        else:
            self._cluster.store.forget_history()
        return web.json_response({})
