// The warm cache as people manage it: every database in storage, what of it is in memory, what would fit, and the boxes
// of auto-warm.

import { useRef, useState } from "preact/hooks";
import { ask, get, withQuery } from "../api";
import { clusterKey, clusterLabel, clusterQuery, nextLook } from "../clusters";
import { AutoWarm } from "../components/auto-warm";
import { Action, Badge, Bar, Loaded, useTitle } from "../components/basics";
import { MemoryStrip } from "../components/cluster-card";
import { Nodes } from "../components/nodes";
import { Operation, useOperation, type Watched } from "../components/operation";
import { LifecyclePanel } from "../components/pipeline";
import { bytes, count, duration, many, words } from "../format";
import { usePoll } from "../poll";
import { addressOf, go } from "../router";
import type { Cluster, Database, Me, Page } from "../types";

const LIVE_MS = 2000;
const QUIET_MS = 10_000;
const ACTIONS = [
  { name: "warm", label: "Warm", path: "/warmup/start", body: {} },
  { name: "rewarm", label: "Rewarm", path: "/warmup/start", body: { force: true } },
  { name: "release", label: "Release", path: "/warmup/release", body: {} },
] as const;

type Databases = Page<Database> & { cluster_name: string | null; stale: boolean; stale_reason: string | null };

export function DatabasesView({ me, query }: { me: Me | null; query: URLSearchParams }) {
  useTitle("Databases");
  const clusters = usePoll<Page<Cluster>>("clusters", (signal) => get("/monitor/aks", signal), nextLook);
  const all = clusters.data?.items ?? [];
  const wanted = query.get("cluster") ?? "";
  const chosen = all.find((each) => wanted && [clusterLabel(each, all), clusterKey(each)].includes(wanted));
  if (wanted && !clusters.data) return <Loaded polled={clusters}>{() => null}</Loaded>;
  return (
    <>
      <div class="head">
        <h1>Databases</h1>
        {all.length > 1 && (
          <label class="inline right">
            Cluster
            <select
              value={chosen ? clusterLabel(chosen, all) : ""}
              onChange={(event) => go(addressOf("databases", { cluster: event.currentTarget.value }), true)}
            >
              <option value="">the default one</option>
              {all.map((each) => (
                <option key={clusterKey(each)} value={clusterLabel(each, all)}>
                  {clusterLabel(each, all)}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {wanted && !chosen ? (
        <p class="card">
          No cluster {wanted} is known. <a href={addressOf("databases")}>Those of the default one</a>
        </p>
      ) : (
        <OfCluster key={chosen ? clusterKey(chosen) : ""} chosen={chosen} all={all} me={me} focus={query.get("focus") === "auto"} />
      )}
    </>
  );
}

/** @param chosen null for the app's default cluster, which the API knows. */
function OfCluster({ chosen, all, me, focus }: { chosen: Cluster | undefined; all: Cluster[]; me: Me | null; focus: boolean }) {
  const scope = chosen ? clusterQuery(chosen) : {};
  const path = withQuery("/blast/databases", scope);
  const again = useRef<() => void>(() => undefined);
  const operation = useOperation(() => again.current());
  const polled = usePoll<Databases>(
    path,
    (signal) => get(path, signal),
    (page) => (operation.busy || page?.items.some((each) => each.warmth.state === "loading") ? LIVE_MS : QUIET_MS),
  );
  again.current = polled.again;
  const operator = me?.roles.includes("operator") ?? false;
  const cluster = chosen ?? all.find((each) => each.cluster_name === polled.data?.cluster_name);
  const states = (polled.data?.items ?? []).map((each) => `${each.name} ${each.warmth.state}`).join();
  return (
    <>
      {cluster && (cluster.workload_ready ? <MemoryStrip cluster={cluster} named={clusterLabel(cluster, all)} changed={states} /> : <LifecyclePanel cluster={cluster} />)}
      <Operation operation={operation} />
      <Loaded polled={polled}>
        {(page) => (
          <>
            {page.stale && (
              <p class="notice wait">
                What is in memory on {page.cluster_name ?? "the cluster"} is not known now: {page.stale_reason}
              </p>
            )}
            <DatabaseTable page={page} scope={scope} named={chosen ? clusterLabel(chosen, all) : ""} operator={operator} operation={operation} again={polled.again} />
            {cluster?.workload_ready && (
              <section class="card" aria-label="Node capacity">
                <Nodes cluster={cluster} />
              </section>
            )}
            <AutoWarm databases={page.items} scope={scope} operator={operator} saved={polled.again} focus={focus} />
          </>
        )}
      </Loaded>
    </>
  );
}

/** The cluster parameters of each call; none for the default cluster. */
type Scope = Record<string, string>;

interface TableOf {
  page: Databases;
  scope: Scope;
  /** The cluster in addresses; empty for the default one. */
  named: string;
  operator: boolean;
  operation: Watched;
  again: () => void;
}

function DatabaseTable({ page, scope, named, operator, operation, again }: TableOf) {
  if (!page.items.length) {
    return <p class="card">There is no database in storage. Put one into the container blast-db, a folder of its name.</p>;
  }
  return (
    <div class="card scroll" tabIndex={0} role="region" aria-label="Databases">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Database</th>
            <th scope="col">In storage</th>
            <th scope="col">In memory</th>
            <th scope="col">Fits</th>
            <th scope="col">In use</th>
            {operator && <th scope="col">Actions</th>}
          </tr>
        </thead>
        <tbody>
          {page.items.map((database) => (
            <tr key={database.name} data-database={database.name}>
              <td data-label="Database">
                <span>
                  <a href={addressOf("new", { database: database.name, cluster: named })} title="Search in it">
                    {database.name}
                  </a>
                  {database.title && <div class="small faint">{database.title}</div>}
                  {database.version && <div class="small faint mono">{database.version}</div>}
                </span>
              </td>
              <td data-label="In storage">
                <Storage database={database} />
              </td>
              <td data-label="In memory">
                <Memory database={database} />
              </td>
              <td data-label="Fits">
                <Fit database={database} />
              </td>
              <td data-label="In use">{database.in_use ? many(database.in_use, "search", "searches") : "no"}</td>
              {operator && (
                <td data-label="Actions">
                  <Actions database={database} scope={scope} operation={operation} again={again} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Storage({ database }: { database: Database }) {
  if (database.error) {
    return (
      <span>
        <Badge word={database.storage_state} /> <span class="small wrong">{database.error.message}</span>
        <div class="small">{database.error.hint}</div>
      </span>
    );
  }
  return (
    <span>
      <Badge word={database.storage_state} tone={database.storage_state === "sharded" ? "good" : "off"} />
      <div class="small faint">
        {database.type === "prot" ? "protein" : "nucleotide"}, {count(database.sequences)} sequences, {bytes(database.bytes)}, {count(database.volumes)} volumes
        {database.shards?.length ? `, shards ${database.shards.join(", ")}` : ""}
      </div>
    </span>
  );
}

function Memory({ database }: { database: Database }) {
  const { warmth } = database;
  return (
    <span>
      <Badge word={warmth.state} />
      {warmth.state === "loading" && (
        <>
          <Bar pct={warmth.progress_pct ?? 0} label={`Warming of ${database.name}`} />
          <div class="small">
            {words(warmth.active_phase ?? "")} {Math.round(warmth.progress_pct ?? 0)} %
            {warmth.estimated_remaining_seconds !== null && warmth.estimated_remaining_seconds !== undefined && `, about ${duration(warmth.estimated_remaining_seconds)} left`}
          </div>
        </>
      )}
      {warmth.resident_bytes !== null && warmth.resident_bytes !== undefined && (
        <div class="small faint">
          {bytes(warmth.resident_bytes)} of {bytes(warmth.bytes)} measured
        </div>
      )}
      {(warmth.reason ?? warmth.residency_reason) && <div class="small faint">{warmth.reason ?? warmth.residency_reason}</div>}
    </span>
  );
}

function Fit({ database }: { database: Database }) {
  const { fit } = database;
  if (!fit) return <span class="faint">not known</span>;
  if (fit.verdict === "fits") return <span>{`yes, on ${many(fit.nodes.length, "node", "nodes")}`}</span>;
  return (
    <span>
      {words(fit.verdict)}
      <div class="small faint">{fit.message}</div>
      <div class="small">{fit.hint}</div>
    </span>
  );
}

/** What a release answers that ended at once. */
interface Released {
  instance_id?: string;
  status?: string;
  errors?: (string | { message?: string })[];
}

function Actions({ database, scope, operation, again }: { database: Database; scope: Scope; operation: Watched; again: () => void }) {
  const [said, setSaid] = useState("");
  const shown = ACTIONS.filter((each) => database.allowed_actions.includes(each.name));
  const shards = database.storage_state === "downloaded" ? (database.fit?.shards_advised ?? 1) : null;
  const start = async (path: string, body: object, what: string) => {
    setSaid("");
    const { data } = await ask<Released>(path, { method: "POST", body: { ...body, ...scope } });
    if (data.instance_id) operation.begin(`/warmup/${encodeURIComponent(data.instance_id)}/status`, what);
    else setSaid([data.status, ...(data.errors ?? []).map((each) => (typeof each === "string" ? each : each.message))].filter(Boolean).join(": "));
    again();
  };
  return (
    <span class="row">
      {shards !== null && (
        <Action
          label={`Prepare ${many(shards, "shard", "shards")}`}
          act={() => start(`/blast/databases/${encodeURIComponent(database.name)}/shards`, { shards }, `Shards of ${database.name}`)}
        />
      )}
      {shown.map((action) => (
        <Action
          key={action.name}
          label={action.label}
          {...(action.name === "release" ? { confirm: `Take ${database.name} off the nodes?` } : {})}
          act={() => start(action.path, { database: database.name, ...action.body }, `${action.label} ${database.name}`)}
        />
      ))}
      <span role="status" class="small">
        {said}
      </span>
    </span>
  );
}
