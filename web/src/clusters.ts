// Which cluster is meant: in calls, in addresses, and in lists of them.

import type { Cluster, Page } from "./types";

const LONGEST_LOOK_MS = 10_000;

/** The parameters that name a cluster. */
export function clusterQuery(cluster: Cluster): Record<string, string> {
  const { subscription_id, resource_group, cluster_name, storage_account } = cluster;
  return { subscription_id, resource_group, cluster_name, storage_account };
}

/** One of all clusters there are: names repeat between resource groups. */
export function clusterKey(cluster: Cluster): string {
  return [cluster.subscription_id, cluster.resource_group, cluster.cluster_name].join("/");
}

/** As short as it can be told from the others: its name, with the resource group where another has the same. */
export function clusterLabel(cluster: Cluster, all: Cluster[]): string {
  const same = all.filter((each) => each.cluster_name === cluster.cluster_name);
  if (same.length < 2) return cluster.cluster_name;
  const group = `${cluster.resource_group}/${cluster.cluster_name}`;
  return same.filter((each) => each.resource_group === cluster.resource_group).length < 2 ? group : clusterKey(cluster);
}

/** Milliseconds until the clusters are worth asking for again: when the API looks at one of them, but soon enough. */
export function nextLook(page: Page<Cluster> | null): number {
  const looks = (page?.items ?? []).map((each) => 1000 * (each.next_refresh_seconds || LONGEST_LOOK_MS));
  return Math.max(1000, Math.min(LONGEST_LOOK_MS, ...looks));
}
