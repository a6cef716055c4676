// The nodes' memory as a picture: what databases hold, what else is used, what is free for more.

import { get, withQuery } from "../api";
import { clusterQuery } from "../clusters";
import { bytes, count } from "../format";
import { usePoll } from "../poll";
import type { Cluster, Node, Page } from "../types";
import { Badge } from "./basics";

const WIDTH = 300;
/** A little is seen, too. */
const LEAST = 2;

export function Nodes({ cluster }: { cluster: Cluster }) {
  const path = withQuery("/monitor/aks/nodes", clusterQuery(cluster));
  const polled = usePoll<Page<Node> & { stale: boolean; stale_reason: string | null }>(path, (signal) => get(path, signal), () => 10_000);
  const nodes = polled.data?.items.filter((node) => node.holds_databases) ?? [];
  if (!polled.data || !nodes.length) return null;
  return (
    <div class="stack">
      <h3>Room for databases</h3>
      {polled.data.stale && <p class="notice wait">{polled.data.stale_reason}</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Nodes">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">Cache</th>
              <th scope="col">Held</th>
              <th scope="col">In memory</th>
              <th scope="col">Memory free</th>
              <th scope="col">Shards</th>
            </tr>
          </thead>
          <tbody>
            {nodes.map((node) => (
              <tr key={node.name}>
                <td data-label="Node">
                  <span>
                    <span class="mono">{node.name}</span> <Badge word={node.ready ? "ready" : "not ready"} tone={node.ready ? "good" : "bad"} />
                    <div class="small faint">{node.sku}</div>
                  </span>
                </td>
                <td data-label="Cache">
                  <Capacity node={node} />
                </td>
                <td data-label="Held">{`${bytes(node.cache_held_bytes)} of ${bytes(node.cache_budget_bytes)}`}</td>
                <td data-label="In memory" title={node.unmeasured_reason ?? ""}>
                  {node.resident_bytes === null ? "not measured" : bytes(node.resident_bytes)}
                </td>
                <td data-label="Memory free">{bytes(node.headroom_bytes)}</td>
                <td data-label="Shards">{shardsOf(node)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

/** What is in memory, what is held but not in memory, and what is free, to the scale of the budget. */
function Capacity({ node }: { node: Node }) {
  const budget = node.cache_budget_bytes ?? 0;
  if (budget <= 0) return <span class="faint">not known</span>;
  const held = Math.min(budget, node.cache_held_bytes ?? 0);
  const resident = Math.min(held, node.resident_bytes ?? 0);
  const x = (size: number) => (size > 0 ? Math.max(LEAST, (size / budget) * WIDTH) : 0);
  const label = `${bytes(resident)} in memory, ${bytes(held)} held, of ${bytes(budget)}`;
  return (
    <svg class="capacity" viewBox={`0 0 ${WIDTH} 14`} role="img" aria-label={label}>
      <title>{label}</title>
      <rect width={WIDTH} height="14" rx="3" class="free" />
      <rect width={x(held)} height="14" rx="3" class="held" />
      <rect width={x(resident)} height="14" rx="3" class="resident" />
    </svg>
  );
}

function shardsOf(node: Node): string {
  const byDatabase = new Map<string, number>();
  for (const shard of node.shards) byDatabase.set(shard.database, (byDatabase.get(shard.database) ?? 0) + 1);
  return [...byDatabase].map(([name, number]) => `${name} × ${count(number)}`).join(", ") || "none";
}
