// Every check of a submit, before it is made, and what would be run.

import { useEffect, useState } from "preact/hooks";
import { ApiError, ask } from "../api";
import { count, dollars, many, words } from "../format";
import { Badge } from "./basics";

const REST_MS = 600;

interface Report {
  ok: boolean;
  checks: { id: string; status: string; code?: string; message: string; hint: string }[];
  plan: { batches: number; shards: number | null; jobs: number | null; fits: boolean | null } | null;
  estimate: { usd?: number | null; assumptions?: string } | null;
}

export interface Checked {
  report: Report | null;
  /** Why there is no report. A submit makes all checks itself. */
  error: ApiError | null;
  asking: boolean;
}

const NOTHING: Checked = { report: null, error: null, asking: false };

/** Asked for when the typing rests, and again when the server asked to be left alone for a while. */
export function useReport(body: object, wanted: boolean): Checked {
  const [checked, setChecked] = useState<Checked>(NOTHING);
  const text = JSON.stringify(body);
  useEffect(() => {
    setChecked(wanted ? { ...NOTHING, asking: true } : NOTHING);
    if (!wanted) return undefined;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const turn = () => {
      ask<Report>("/blast/jobs/validate", { method: "POST", body: JSON.parse(text), signal: stop.signal }).then(
        ({ data }) => setChecked({ report: data, error: null, asking: false }),
        (failure: unknown) => {
          if (stop.signal.aborted) return;
          if (!(failure instanceof ApiError)) throw failure;
          setChecked({ report: null, error: failure, asking: false });
          if (failure.pause) timer = setTimeout(turn, failure.pause);
        },
      );
    };
    timer = setTimeout(turn, REST_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text, wanted]);
  return checked;
}

/** In a sentence, for who cannot see the badges. */
function summary({ report, error, asking }: Checked): string {
  if (asking) return "Checking …";
  if (error) return `The checks could not be made: ${error.message}`;
  if (!report) return "";
  const failed = report.checks.filter((check) => check.status === "failed").length;
  return report.ok ? "All checks passed" : failed ? `${many(failed, "check", "checks")} failed` : "It would not be accepted";
}

export function Checks({ checked }: { checked: Checked }) {
  const { report } = checked;
  return (
    <section aria-label="Checks" class="stack">
      <p role="status" class="small faint">
        {summary(checked)}
      </p>
      {report && <Told report={report} />}
    </section>
  );
}

function Told({ report }: { report: Report }) {
  const said = report.checks.filter((check) => check.status === "failed" || check.status === "warning");
  const { plan, estimate } = report;
  return (
    <>
      <p class="row">
        {report.checks.map((check) => (
          <span key={check.id} class="small">
            {words(check.id)} <Badge word={check.status} />
          </span>
        ))}
      </p>
      {said.map((check) => (
        <div key={check.id} class={`notice ${check.status === "failed" ? "bad" : "wait"}`}>
          <p>{check.message}</p>
          {check.hint && <p class="small">{check.hint}</p>}
        </div>
      ))}
      {plan && (
        <p>
          {count(plan.batches)} {plan.batches === 1 ? "batch" : "batches"}
          {plan.shards !== null && ` × ${many(plan.shards, "shard", "shards")} = ${plan.jobs === null ? "" : many(plan.jobs, "Job", "Jobs")}`}
          {estimate?.usd !== null && estimate?.usd !== undefined && `, ${dollars(estimate.usd)}`}
          {estimate?.assumptions && <span class="faint small"> ({estimate.assumptions})</span>}
        </p>
      )}
    </>
  );
}
