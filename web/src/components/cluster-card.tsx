// One cluster on the page: its lifecycle, and when it is ready its databases in memory, its nodes and how to stop it.

import { useEffect, useRef } from "preact/hooks";
import { ask, get, withQuery } from "../api";
import { clusterQuery } from "../clusters";
import { count, duration, many } from "../format";
import { usePoll } from "../poll";
import { isInMemory, stripText, stripTooltip } from "../strip";
import { addressOf } from "../router";
import type { Cluster, Me, WarmStatus } from "../types";
import { Action, Badge } from "./basics";
import { Activity, LifecyclePanel } from "./pipeline";
import { Nodes } from "./nodes";
import { Operation, useOperation } from "./operation";

const STARTABLE = new Set(["stopped", "stopping"]);
const STOPPABLE = new Set(["running", "starting"]);

export function ClusterCard({ cluster, clusters, me, again }: { cluster: Cluster; clusters: number; me: Me | null; again: () => void }) {
  const operation = useOperation(again);
  const operator = me?.roles.includes("operator") ?? false;
  const switchTo = async (verb: "start" | "stop") => {
    const { data } = await ask<{ instance_id: string }>(`/aks/${verb}`, { method: "POST", body: clusterQuery(cluster) });
    operation.begin(`/aks/operations/${encodeURIComponent(data.instance_id)}`, `${verb} of ${cluster.cluster_name}`);
    again();
  };
  const power = operator && (
    <div class="row">
      {STARTABLE.has(cluster.lifecycle_state) && <Action label="Start cluster" kind="primary" act={() => switchTo("start")} />}
      {STOPPABLE.has(cluster.lifecycle_state) && (
        <Action label="Stop cluster" act={() => switchTo("stop")} confirm={`Stop ${cluster.cluster_name}? What is in memory is lost.`} />
      )}
      <Operation operation={operation} />
    </div>
  );
  if (!cluster.workload_ready) {
    return (
      <div class="stack">
        <LifecyclePanel cluster={cluster} />
        {power}
      </div>
    );
  }
  return (
    <section class="card stack" aria-label={`Cluster ${cluster.cluster_name}`} data-lifecycle={cluster.lifecycle_state}>
      <div class="row">
        <h2>{cluster.cluster_name}</h2>
        <Badge word={cluster.lifecycle_state} />
        {cluster.stale && <Badge word="stale" />}
        <span class="faint small">
          {[cluster.summary?.region, cluster.summary?.version && `Kubernetes ${cluster.summary.version}`].filter(Boolean).join(" · ")}
        </span>
      </div>
      <p class="small">{cluster.reason}</p>
      <Activity clusters={clusters} only={cluster} />
      <MemoryStrip cluster={cluster} />
      {cluster.counts && (
        <p>
          {count(cluster.counts.nodes_ready)} of {many(cluster.counts.nodes_expected, "node", "nodes")} ready,{" "}
          {many(cluster.counts.searches_active, "search", "searches")} at work, {count(cluster.counts.searches_waiting)} waiting
        </p>
      )}
      {power}
      <Nodes cluster={cluster} />
      <p class="faint small">Looked at again in {duration(cluster.next_refresh_seconds)}.</p>
    </section>
  );
}

interface Strip {
  cluster: Cluster;
  /** The cluster in addresses. */
  named?: string;
  /** What else is known of the databases; when it changes, the strip is asked for anew. */
  changed?: string;
}

/** What is in the nodes' memory or on its way there, and nothing else (P1). */
export function MemoryStrip({ cluster, named = cluster.cluster_name, changed = "" }: Strip) {
  const key = withQuery("/monitor/aks/warmup-status", clusterQuery(cluster));
  const status = usePoll<{ items: WarmStatus[]; stale: boolean; stale_reason: string | null }>(
    key,
    (signal) => get(key, signal),
    (found) => (found?.items.some((each) => each.status === "loading") ? 2000 : 10_000),
  );
  const seen = useRef(changed);
  useEffect(() => {
    if (seen.current) status.again();
    seen.current = changed;
  }, [changed]);
  if (!status.data) return null;
  if (status.data.stale) return <p class="faint small">What is in memory is not known: {status.data.stale_reason}</p>;
  const shown = status.data.items.filter(isInMemory);
  if (!shown.length) {
    return (
      <p data-strip="empty">
        No warmed databases yet. <a href={addressOf("databases", { cluster: named, focus: "auto" })}>Auto warm</a> or{" "}
        <a href={addressOf("databases", { cluster: named })}>Warm now</a>
      </p>
    );
  }
  return (
    <ul class="strip" aria-label="Databases in memory">
      {shown.map((each) => (
        <li key={each.database} class={`badge ${each.status === "ready" ? "good" : each.status === "loading" ? "busy" : "wait"}`} title={stripTooltip(each)} tabIndex={0}>
          {stripText(each)}
          <span class="unseen">{stripTooltip(each)}</span>
        </li>
      ))}
    </ul>
  );
}
