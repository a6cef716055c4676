// What the cluster card says of the databases in memory (P1): `core_nt - copying - 9/10 - ~55s left`.

import type { WarmStatus } from "./types";

const SHORT: Record<string, string> = {
  waiting: "waiting",
  starting: "starting",
  copying_files: "copying",
  verifying_db: "verifying",
  touching_memory: "touching memory",
};

/** Whether any of it is in the nodes' memory or on its way there. What only lies on disks is in the table, not here. */
export function isInMemory(warm: WarmStatus): boolean {
  switch (warm.status) {
    case "ready":
    case "loading":
      return true;
    case "stale":
      return (warm.phase_counts["completed"] ?? 0) > 0;
    case "cooled":
      return (warm.residency?.resident_bytes ?? 0) > 0;
    default:
      return false;
  }
}

export function stripText(warm: WarmStatus): string {
  const done = warm.phase_counts["completed"] ?? 0;
  const parts = [warm.database, stateOf(warm), `${done}/${warm.total_jobs}`];
  if (warm.status === "loading" && warm.estimated_remaining_seconds !== null) {
    parts.push(`~${short(warm.estimated_remaining_seconds)} left`);
  }
  return parts.join(" - ");
}

export function stripTooltip(warm: WarmStatus): string {
  const done = warm.phase_counts["completed"] ?? 0;
  const copying = warm.phase_counts["copying_files"] ?? 0;
  const remaining = warm.estimated_remaining_seconds;
  return [
    `${done} of ${warm.total_jobs} shards done, ${copying} copying`,
    warm.elapsed_seconds !== null ? `${short(warm.elapsed_seconds)} elapsed` : "",
    warm.status === "loading" ? (remaining === null ? "time remaining not known yet" : `about ${short(remaining)} remaining`) : "",
    warm.stale_reason ?? "",
  ]
    .filter(Boolean)
    .join("; ");
}

function stateOf(warm: WarmStatus): string {
  if (warm.status === "ready") return "in memory";
  return warm.status === "loading" ? (SHORT[warm.active_phase] ?? warm.active_phase) : warm.status;
}

function short(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  return `${Math.floor(whole / 3600)}h ${Math.floor((whole % 3600) / 60)}m`;
}
