// What the API answers, as far as the page reads it. docs/api.md is the contract.

export type Status = "queued" | "pending" | "running" | "completed" | "failed" | "cancelled" | "deleting" | "delete_failed";

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export interface Progress {
  total: number;
  pending: number;
  running: number;
  succeeded: number;
  failed: number;
  pct: number;
}

export interface SearchError {
  code: string;
  message: string;
  hint: string;
  job?: string | null;
  exit_code?: number | null;
  log_tail?: string | string[] | null;
}

export interface SearchItem {
  job_id: string;
  short_id: string;
  aliases: string[];
  source: "api" | "external";
  status: Status;
  phase: string;
  waiting_reason: string | null;
  title: string;
  program: string;
  database: string;
  owner: string;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  observed_at: string | null;
  stale: boolean;
  stale_reason: string | null;
  progress: Progress;
  results_expire_at: string | null;
  error: SearchError | null;
  attempt: number;
  cloned_from: string | null;
  cost: { estimate_usd: number | null; assumptions: string } | null;
}

export interface Step {
  name: string;
  status: string;
  started_at: string | null;
  completed_at: string | null;
  seconds: number | null;
  detail: string | null;
}

export interface KubernetesJob {
  name: string;
  shard: number | null;
  batch: number | null;
  state: string;
  reason: string | null;
  exit_code: number | null;
}

export interface SearchDetail extends SearchItem {
  steps: Step[];
  kubernetes: { jobs: KubernetesJob[] };
  options: Record<string, unknown>;
  labels: Record<string, string>;
  query: { sha256?: string; sequences?: number; letters?: number; batch_len?: number };
}

export interface HistoryEvent {
  at: string;
  kind: string;
  who: string;
  why: string;
  attempt: number;
}

export interface Me {
  owner: string;
  name: string;
  roles: string[];
}

export interface Cluster {
  subscription_id: string;
  resource_group: string;
  cluster_name: string;
  storage_account: string;
  lifecycle_state: string;
  workload_ready: boolean;
  warm_ready: boolean;
  reason: string;
  next_refresh_seconds: number;
  summary: {
    region?: string | null;
    version?: string | null;
    pools?: { name: string; mode: string; sku: string; count: number | null; ready: number | null }[];
  } | null;
  counts?: { nodes_expected: number; nodes_ready: number; searches_active: number; searches_waiting: number };
  observed_at: string | null;
  stale: boolean;
  stale_reason: string | null;
}

export type Warmth = "cold" | "loading" | "ready" | "cooled" | "stale" | "failed" | "unknown";

export interface WarmStatus {
  database: string;
  status: Warmth;
  progress_pct: number;
  started_at: string | null;
  elapsed_seconds: number | null;
  estimated_remaining_seconds: number | null;
  active_phase: string;
  active_phase_label: string;
  active_message: string;
  active_last_log: string;
  phase_counts: Record<string, number>;
  pod_statuses: {
    shard: number;
    phase: string;
    phase_label: string;
    progress_pct: number;
    node: string;
    pod: string;
    message: string;
    last_log: string;
    bytes: number | null;
    resident_bytes: number | null;
  }[];
  nodes_ready: number;
  nodes_active: number;
  nodes_failed: number;
  total_jobs: number;
  shards: number;
  source_version: string | null;
  residency: { bytes: number; resident_bytes: number; shards_measured: number; measured_at: string | null } | null;
  residency_reason: string | null;
  stale_reason: string | null;
}

export interface Database {
  name: string;
  title?: string | null;
  storage_state: "not_downloaded" | "incomplete" | "downloaded" | "sharded";
  type?: string | null;
  sequences?: number | null;
  letters?: number | null;
  bytes?: number | null;
  volumes?: number | null;
  version?: string | null;
  shards?: number[];
  error?: { code: string; message: string; hint: string } | null;
  warmth: {
    state: Warmth;
    progress_pct?: number | null;
    active_phase?: string | null;
    estimated_remaining_seconds?: number | null;
    shards?: number | null;
    source_version?: string | null;
    bytes?: number | null;
    resident_bytes?: number | null;
    residency_reason?: string | null;
    reason?: string | null;
  };
  fit: {
    verdict: string;
    message: string;
    hint: string;
    layout: number | null;
    nodes_needed: number | null;
    shards_advised: number | null;
    nodes: { name: string; cache_free_bytes: number; shards: number[]; bytes: number }[];
  } | null;
  auto_warm: boolean | null;
  in_use: number;
  allowed_actions: string[];
}

export interface Node {
  name: string;
  pool: string;
  sku: string;
  ready: boolean;
  schedulable: boolean;
  holds_databases: boolean;
  memory_used_bytes: number | null;
  headroom_bytes: number | null;
  cache_budget_bytes: number | null;
  cache_held_bytes: number | null;
  cache_free_bytes: number | null;
  resident_bytes: number | null;
  measured_at: string | null;
  unmeasured_reason: string | null;
  shards: { database: string; shards: number; shard: number; state: string; bytes: number; resident_bytes: number | null }[];
}

export interface Preference {
  databases: string[];
  enabled: boolean;
  saved: boolean;
  items: {
    database: string;
    storage_state: string;
    skipped_because: string | null;
    tries: number;
    last_instance_id: string | null;
    next_try_at: string | null;
  }[];
}

export interface Stats {
  window_seconds: number;
  submitted: number;
  registered: number;
  ended: Record<string, number>;
  failures: Record<string, number>;
  waiting: { cluster_name: string; phase: string; count: number; reason: string }[];
}

export interface Results {
  manifest: { name: string; size: number; sha256: string; content_type: string; url: string }[];
  provenance: Record<string, unknown> | null;
  summary: { queries: number | null; queries_with_hits: number | null; hits: number | null } | null;
}

export interface Hit {
  query: string | null;
  subject: string | null;
  title: string | null;
  identity: number | null;
  length: number | null;
  mismatches: number | null;
  gap_opens: number | null;
  query_start: number | null;
  query_end: number | null;
  subject_start: number | null;
  subject_end: number | null;
  evalue: number | null;
  bit_score: number | null;
  columns: Record<string, string>;
}

export interface Logs {
  items: {
    job: string;
    shard: number | null;
    batch: number | null;
    state: string;
    pod: string | null;
    container: string | null;
    source: "pod" | "stored" | "none";
    reason: string | null;
    text: string;
    truncated: boolean;
  }[];
  jobs_total: number;
  truncated: boolean;
  observed_at: string | null;
  stale: boolean;
  stale_reason: string | null;
}
