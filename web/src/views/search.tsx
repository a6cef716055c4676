// One search: where it stands, how long each step took, what its Jobs say, what it found.

import { ask, get } from "../api";
import { Action, Ago, Badge, Bar, Lasted, Loaded, useTitle } from "../components/basics";
import { Fact, Facts, History } from "../components/facts";
import { Hits } from "../components/hits";
import { Jobs } from "../components/jobs";
import { count, duration, many, when, words } from "../format";
import { usePoll } from "../poll";
import { addressOf, go } from "../router";
import { isActive } from "../search-pages";
import type { Me, Results, SearchDetail, Step } from "../types";

const LIVE_MS = 1000;
const QUIET_MS = 15_000;
/** Longer than the longest pause and a slow answer. */
const PATIENCE_S = 25;

export function SearchView({ id, query, me }: { id: string; query: URLSearchParams; me: Me | null }) {
  const path = `/blast/jobs/${encodeURIComponent(id)}`;
  const polled = usePoll<SearchDetail>(path, (signal) => get(path, signal), (search) => (search && !isActive(search) ? QUIET_MS : LIVE_MS));
  useTitle(polled.data ? `${words(polled.data.status)}: ${polled.data.title || polled.data.short_id}` : "Search");
  return (
    <>
      <p class="small">
        <a href={addressOf("searches")}>Searches</a>
      </p>
      <Loaded polled={polled} expected={PATIENCE_S}>{(search) => <Search search={search} path={path} query={query} again={polled.again} me={me} />}</Loaded>
    </>
  );
}

interface Shown {
  search: SearchDetail;
  path: string;
  query: URLSearchParams;
  again: () => void;
  me: Me | null;
}

function Search({ search, path, query, again, me }: Shown) {
  const post = async (what: string) => {
    await ask(`${path}/${what}`, { method: "POST", body: {} });
    again();
  };
  const ended = !isActive(search);
  return (
    <>
      <div class="head">
        <h1>{search.title || search.short_id}</h1>
        <span role="status" aria-label="Status">
          <Badge word={search.status} />
        </span>
        {search.stale && <Badge word="stale" />}
        {search.source === "external" && <Badge word="begun outside" />}
        <span class="right">
          {!ended && search.phase !== "cancelling" && search.status !== "deleting" && <Action label="Cancel search" act={() => post("cancel")} confirm="Cancel this search?" kind="danger" />}
          {(search.status === "failed" || search.status === "cancelled") && search.source === "api" && (
            <Action label="Retry" act={() => post("retry")} title="Only what is missing is run again" />
          )}
          {search.source === "api" && (
            <a class="button" href={addressOf("new", { clone: search.job_id })}>
              Clone
            </a>
          )}
          {search.status !== "deleting" && (
            <Action
              label={search.status === "delete_failed" ? "Delete again" : "Delete"}
              act={async () => {
                await ask(path, { method: "DELETE" });
                go(addressOf("searches"));
              }}
              confirm="Delete it with its results?"
            />
          )}
        </span>
      </div>
      <Standing search={search} />
      {search.error && <Failure search={search} />}
      <Timeline search={search} />
      {search.status === "completed" && <Found search={search} path={path} query={query} />}
      <Jobs search={search} path={path} />
      <Facts search={search} me={me} />
      <History path={path} attempt={`${search.attempt} ${search.phase}`} />
    </>
  );
}

function Standing({ search }: { search: SearchDetail }) {
  const { progress } = search;
  const active = isActive(search);
  return (
    <section class="card stack" aria-label="Standing">
      <div class="row">
        <strong>{words(search.phase)}</strong>
        {active && search.waiting_reason && <span>{search.waiting_reason}</span>}
        <span class="faint small">
          {search.completed_at ? (
            <>
              ended <Ago at={search.completed_at} />, after <Lasted from={search.created_at} to={search.completed_at} />
            </>
          ) : (
            active && (
              <>
                for <Lasted from={search.created_at} to={null} />
              </>
            )
          )}
          {search.observed_at && active && (
            <>
              {" · seen "}
              <Ago at={search.observed_at} />
            </>
          )}
        </span>
      </div>
      {search.stale && <p class="notice wait">The cluster could not be asked: {search.stale_reason}. This is what was seen last.</p>}
      {progress.total > 0 && (
        <div>
          <Bar pct={progress.pct} label="Progress of the Jobs" />
          <span class="small faint">
            {count(progress.succeeded)} of {count(progress.total)} Jobs done
            {active
              ? `, ${count(progress.running)} running, ${count(progress.pending)} waiting`
              : progress.running + progress.pending > 0 && ", the others were not"}
            {progress.failed > 0 && <span class="wrong">, {count(progress.failed)} failed</span>}
          </span>
        </div>
      )}
    </section>
  );
}

function Failure({ search }: { search: SearchDetail }) {
  const error = search.error;
  if (!error) return null;
  const tail = Array.isArray(error.log_tail) ? error.log_tail.join("\n") : error.log_tail;
  return (
    <section class="notice bad" aria-label={search.status === "delete_failed" ? "Why it was not deleted" : "Why it failed"}>
      <p>
        <strong>{error.message}</strong> <code>{error.code}</code>
      </p>
      {error.hint && <p>{error.hint}</p>}
      {error.job && (
        <p class="small">
          Job {error.job}
          {error.exit_code !== null && error.exit_code !== undefined && `, exit code ${error.exit_code}`}
        </p>
      )}
      {tail && <pre tabIndex={0}>{tail}</pre>}
    </section>
  );
}

/** Each step with its time; the one under way counts. */
function Timeline({ search }: { search: SearchDetail }) {
  return (
    <section class="card" aria-label="Steps">
      <h2>Steps</h2>
      <ol class="steps">
        {search.steps.map((step) => (
          <li key={step.name} class={`step ${stateOf(step, search)}`} aria-current={isUnderWay(step) ? "step" : undefined}>
            <span class="step-name">{words(step.name)}</span>
            <span class="step-time">{step.seconds === null && isUnderWay(step) ? <Lasted from={step.started_at} to={null} /> : duration(step.seconds)}</span>
            <span class="step-state small faint">
              {words(stateOf(step, search))}
              {step.detail && ` · ${step.detail}`}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** Where a search was cancelled nothing has failed. */
function stateOf(step: Step, search: SearchDetail): string {
  return search.status === "cancelled" && step.status === "failed" ? "cancelled" : step.status;
}

function isUnderWay(step: Step): boolean {
  return step.started_at !== null && step.completed_at === null && step.status !== "failed" && step.status !== "cancelled";
}

/** What has been taken out of storage after its time is no error. */
const GONE = "results_expired";
/** Bytes; of larger files the API makes no table (docs/limits.md). */
const TABLE_BYTES = 8_000_000;

function Found({ search, path, query }: { search: SearchDetail; path: string; query: URLSearchParams }) {
  const results = usePoll<Results>(`${path}/results ${search.attempt}`, (signal) => get(`${path}/results`, signal), () => null);
  return (
    <section class="card stack" aria-label="Results">
      <h2>Results</h2>
      {results.error?.code === GONE ? (
        <p class="notice wait">
          {results.error.message}. {search.source === "api" && <a href={addressOf("new", { clone: search.job_id })}>Search again</a>}
        </p>
      ) : (
      <Loaded polled={results} expected={Infinity}>
        {(found) => (
          <>
            {found.summary && (
              <p>
                {found.summary.hits === null ? "Hits" : many(found.summary.hits, "hit", "hits")} for {count(found.summary.queries_with_hits)} of {count(found.summary.queries)} queries
              </p>
            )}
            <ul class="files">
              {found.manifest.map((file) => (
                <li key={file.name}>
                  <a href={file.url} download={file.name}>
                    {file.name}
                  </a>{" "}
                  {file.name.endsWith(".tsv") && file.size > 0 && file.size <= TABLE_BYTES && (
                    <>
                      <a href={`${file.url}?format=csv`} download={file.name.replace(/tsv$/, "csv")}>
                        as CSV
                      </a>{" "}
                    </>
                  )}
                  <span class="faint small">
                    {count(file.size)} bytes, SHA-256 <code title={file.sha256}>{file.sha256.slice(0, 12)}…</code>
                  </span>
                </li>
              ))}
            </ul>
            {search.results_expire_at && <p class="small faint">Kept until {when(search.results_expire_at)}.</p>}
            {found.summary?.hits === 0 ? <p>Nothing in {search.database} is similar enough to the queries.</p> : <Hits search={search} path={path} query={query} />}
            {found.provenance && (
              <details>
                <summary>Provenance: what was run on what</summary>
                <dl class="facts">
                  {Object.entries(found.provenance).map(([name, value]) => (
                    <Fact key={name} name={words(name)} value={Array.isArray(value) ? value.join(" ") : value} />
                  ))}
                </dl>
              </details>
            )}
          </>
        )}
      </Loaded>
      )}
    </section>
  );
}
