// The Kubernetes Jobs of a search, failed ones first, and the ends of their logs.

import { useRef, useState } from "preact/hooks";
import { get, withQuery } from "../api";
import { many } from "../format";
import { usePoll } from "../poll";
import { isActive } from "../search-pages";
import type { KubernetesJob, Logs, SearchDetail } from "../types";
import { Badge, Loaded } from "./basics";

/** What a Job was in when its search ended is the last that was seen of it. */
const UNDER_WAY = new Set(["pending", "running"]);

function isFailed(job: KubernetesJob): boolean {
  return job.state === "failed";
}

export function Jobs({ search, path }: { search: SearchDetail; path: string }) {
  const [open, setOpen] = useState(false);
  const [chosen, setJob] = useState("");
  const logs = useRef<HTMLDivElement>(null);
  const jobs = [...search.kubernetes.jobs].sort((one, other) => Number(isFailed(other)) - Number(isFailed(one)));
  const active = isActive(search);
  const choose = (name: string) => {
    setJob(name);
    logs.current?.focus();
  };
  if (!jobs.length) return null;
  return (
    <section class="card" aria-label="Jobs">
      <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{many(jobs.length, "Kubernetes Job", "Kubernetes Jobs")} with their logs</summary>
        {open && (
          <div class="stack">
            <div class="scroll" tabIndex={0} role="region" aria-label="Kubernetes Jobs">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Job</th>
                    <th scope="col">Batch</th>
                    <th scope="col">Shard</th>
                    <th scope="col">State</th>
                    <th scope="col">Reason</th>
                    <th scope="col">Log</th>
                  </tr>
                </thead>
                <tbody>
                  {jobs.map((job) => (
                    <tr key={job.name}>
                      <td class="mono">{job.name}</td>
                      <td>{job.batch ?? "–"}</td>
                      <td>{job.shard ?? "–"}</td>
                      <td>
                        {active || !UNDER_WAY.has(job.state) ? <Badge word={job.state} /> : <Badge word={`was ${job.state}`} />}
                      </td>
                      <td>
                        {job.reason ?? ""}
                        {job.exit_code !== null && job.exit_code !== 0 && ` (exit code ${job.exit_code})`}
                      </td>
                      <td>
                        <button type="button" class="link" aria-label={`Log of ${job.name}`} aria-pressed={job.name === chosen} onClick={() => choose(job.name)}>
                          Log
                        </button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <div class="stack" ref={logs} tabIndex={-1} role="region" aria-label={chosen ? `Log of ${chosen}` : "Logs"}>
              {chosen && (
                <p>
                  <button type="button" class="link" onClick={() => choose("")}>
                    The logs of all Jobs
                  </button>
                </p>
              )}
              <LogTails path={withQuery(`${path}/logs`, { job: chosen, tail: chosen ? 500 : 50 })} live={active} />
            </div>
          </div>
        )}
      </details>
    </section>
  );
}

function LogTails({ path, live }: { path: string; live: boolean }) {
  const logs = usePoll<Logs>(path, (signal) => get(path, signal), () => (live ? 5000 : null));
  return (
    <Loaded polled={logs} expected={live ? 15 : Infinity}>
      {(found) => (
        <div class="stack">
          {found.stale && <p class="notice wait">{found.stale_reason}</p>}
          {found.items.map((each) => (
            <div key={`${each.job}${each.container}`}>
              <p class="small faint">
                {each.job} {each.container && `(${each.container})`} {each.source === "stored" && "– kept from its failure"}
                {each.truncated && " – the last lines"}
              </p>
              {each.text ? <pre tabIndex={0} aria-label={`Log of ${each.job}`} role="region">{each.text}</pre> : <p class="small">{each.reason ?? "It has said nothing."}</p>}
            </div>
          ))}
          {found.truncated && (
            <p class="small faint">
              {found.items.length} of {found.jobs_total} Jobs are shown, failed ones first.
            </p>
          )}
        </div>
      )}
    </Loaded>
  );
}
