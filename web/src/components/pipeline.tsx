// The submit pipeline of the last 15 minutes, for a cluster that is ready; for one that is not, what it is and what
// happens next (P2).

import { get } from "../api";
import { clusterKey, nextLook } from "../clusters";
import { count, duration, words } from "../format";
import { usePoll } from "../poll";
import { addressOf } from "../router";
import type { Cluster, Page, Stats } from "../types";
import { Ago, Badge } from "./basics";

const ACTIVITY_MS = 10_000;

/** Above the list of searches: each cluster that is not ready, and what went on on those that are. */
export function Pipeline() {
  const clusters = usePoll<Page<Cluster>>("clusters", (signal) => get("/monitor/aks", signal), nextLook);
  if (!clusters.data) return null;
  const notReady = clusters.data.items.filter((each) => !each.workload_ready);
  return (
    <>
      {notReady.map((cluster) => (
        <LifecyclePanel key={clusterKey(cluster)} cluster={cluster} />
      ))}
      {(notReady.length < clusters.data.items.length || !notReady.length) && <Activity clusters={clusters.data.items.length} />}
    </>
  );
}

/** A cluster on which nothing can run now: its state, why, and when it is looked at again. No counts. */
export function LifecyclePanel({ cluster }: { cluster: Cluster }) {
  const pools = cluster.summary?.pools ?? [];
  return (
    <section class="card stack" aria-label={`Cluster ${cluster.cluster_name}`} data-lifecycle={cluster.lifecycle_state}>
      <div class="row">
        <h2>{cluster.cluster_name}</h2>
        <Badge word={cluster.lifecycle_state} />
        {cluster.stale && <Badge word="stale" />}
      </div>
      <p>{cluster.reason}</p>
      {cluster.stale_reason && <p class="small faint">{cluster.stale_reason}</p>}
      <p class="small faint">
        {[
          cluster.summary?.region,
          cluster.summary?.version && `Kubernetes ${cluster.summary.version}`,
          ...pools.map((pool) => `pool ${pool.name}: ${pool.sku}`),
          `looked at again in ${duration(cluster.next_refresh_seconds)}`,
        ]
          .filter(Boolean)
          .join(" · ")}
      </p>
      <p>
        <a href={addressOf("cluster")}>To the cluster</a>
      </p>
    </section>
  );
}

/** What was submitted and what has ended on all clusters, and who waits; `only` leaves out who waits for others. */
export function Activity({ clusters, only }: { clusters: number; only?: Cluster }) {
  const stats = usePoll<Stats>("stats", (signal) => get("/stats?window=15m", signal), () => ACTIVITY_MS);
  if (!stats.data) return null;
  const { submitted, registered, ended, waiting } = stats.data;
  const facts: [string, number][] = [
    ["submitted", submitted + registered],
    ...(["completed", "failed", "cancelled"] as const).map((name): [string, number] => [name, ended[name] ?? 0]),
  ];
  return (
    <section class={only ? "row" : "card row"} aria-label="Activity of the last 15 minutes">
      <span class="faint">Last 15 minutes{only && clusters > 1 && " on all clusters"}</span>
      {facts.map(([name, number]) => (
        <span key={name}>
          <strong>{count(number)}</strong> {name}
        </span>
      ))}
      {waiting
        .filter((each) => !only || each.cluster_name === only.cluster_name)
        .map((each) => (
          <span key={each.cluster_name + each.phase} title={each.reason}>
            <strong>{count(each.count)}</strong> {words(each.phase)} on {each.cluster_name}
          </span>
        ))}
      {stats.error && (
        <span class="faint small">
          as of <Ago at={stats.at} />
        </span>
      )}
    </section>
  );
}
