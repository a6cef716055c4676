// The clusters: ready ones with what they hold, others with what they are and what happens next.

import { get } from "../api";
import { clusterKey, nextLook } from "../clusters";
import { Loaded, useTitle } from "../components/basics";
import { ClusterCard } from "../components/cluster-card";
import { usePoll } from "../poll";
import type { Cluster, Me, Page } from "../types";

export function ClusterView({ me }: { me: Me | null }) {
  useTitle("Cluster");
  const polled = usePoll<Page<Cluster>>("clusters", (signal) => get("/monitor/aks", signal), nextLook);
  return (
    <>
      <h1>Cluster</h1>
      <Loaded polled={polled}>
        {({ items }) =>
          items.length ? (
            items.map((cluster) => <ClusterCard key={clusterKey(cluster)} cluster={cluster} clusters={items.length} me={me} again={polled.again} />)
          ) : (
            <p class="card">No cluster is known yet: set ELB_DEFAULT_CLUSTER, or submit a search that names one.</p>
          )
        }
      </Loaded>
    </>
  );
}
