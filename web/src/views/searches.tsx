// The list of searches: live, filtered, as long as one scrolls.

import type { VNode } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Ago, Badge, Bar, Lasted, Loaded, Problem, useTitle } from "../components/basics";
import { Pipeline } from "../components/pipeline";
import { count, when, words } from "../format";
import { addressOf, go, readAddress } from "../router";
import { isActive, useSearchPages, type SearchPages } from "../search-pages";
import { STEP_OF, STEPS } from "../steps";
import type { Me, SearchItem } from "../types";

const STATUSES = ["queued", "pending", "running", "completed", "failed", "cancelled", "deleting", "delete_failed"];
const PROGRAMS = ["blastn", "blastp", "blastx", "tblastn", "tblastx"];
const FILTERS = ["status", "program", "db", "q", "owner"] as const;

function filterOf(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
}

export function SearchesView({ query, me }: { query: URLSearchParams; me: Me | null }) {
  const filter = filterOf(query);
  const pages = useSearchPages(filter);
  useTitle("Searches");
  // What the address says now, not what it said when the typing began: another field may have changed meanwhile.
  const change = (name: string, value: string) =>
    go(addressOf("searches", { ...filterOf(readAddress(location.hash).query), [name]: value }), true);
  const owner = filter["owner"] ?? "";
  const owners = owner && owner !== "*" ? ["*", owner] : ["*"];

  return (
    <>
      <div class="head">
        <h1>Searches</h1>
        <span class="right">
          <a class="button primary" href={addressOf("new")}>
            New search
          </a>
        </span>
      </div>
      <Pipeline />
      <form class="card fields filters" role="search" aria-label="Filter the searches" onSubmit={(event) => event.preventDefault()}>
        <Choice label="Status" name="status" values={STATUSES} names={STATUSES.map(words)} value={filter["status"] ?? ""} change={change} />
        <Choice label="Program" name="program" values={PROGRAMS} value={filter["program"] ?? ""} change={change} />
        <Text label="Database" name="db" value={filter["db"] ?? ""} change={change} />
        <Text label="Title has" name="q" value={filter["q"] ?? ""} change={change} />
        {me?.roles.includes("operator") && (
          <Choice label="Of whom" name="owner" values={owners} names={["everybody", owner]} none="me" value={owner} change={change} />
        )}
      </form>
      <Loaded polled={pages.newest}>
        {() => <SearchTable pages={pages} filtered={Object.values(filter).some(Boolean)} everybody={owner !== ""} />}
      </Loaded>
    </>
  );
}

function SearchTable({ pages, filtered, everybody }: { pages: SearchPages; filtered: boolean; everybody: boolean }) {
  const { items, more, busy, error } = pages;
  const drawn = useMemo(() => new WeakMap<SearchItem, VNode>(), [everybody]);
  const rows = items.map((search) => {
    const row = drawn.get(search) ?? <SearchRow key={search.job_id} search={search} everybody={everybody} />;
    drawn.set(search, row); // the same object is the same row: of thousands only those are drawn that have changed
    return row;
  });
  if (!items.length && !more) {
    return (
      <p class="card">
        {filtered ? <>No search is like that. <a href={addressOf("searches")}>All searches</a></> : <>No searches here yet. <a href={addressOf("new")}>Begin one.</a></>}
      </p>
    );
  }
  return (
    <div class="card">
      <div class="scroll" tabIndex={0} role="region" aria-label="Searches">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Status</th>
              <th scope="col">Search</th>
              <th scope="col">Program</th>
              <th scope="col">Database</th>
              <th scope="col">Progress</th>
              <th scope="col">Lasted</th>
              <th scope="col">Begun</th>
              {everybody && <th scope="col">Owner</th>}
            </tr>
          </thead>
          <tbody>{rows}</tbody>
        </table>
      </div>
      {error && <Problem error={error} />}
      <div class="row">
        <span class="faint small" role="status">
          {`${count(items.length)} shown${more ? ", there are older ones" : ""}`}
        </span>
        {(more || busy) && (
          <button type="button" onClick={() => !busy && pages.show()} aria-disabled={busy} aria-busy={busy}>
            {busy ? "Older ones …" : "Older ones"}
          </button>
        )}
      </div>
    </div>
  );
}

function SearchRow({ search, everybody }: { search: SearchItem; everybody: boolean }) {
  const active = isActive(search);
  const step = active ? STEP_OF[search.phase] : undefined;
  return (
    <tr data-job={search.job_id}>
      <td data-label="Status">
        <span>
          <Badge word={search.status} />
          {active && search.phase !== search.status && <div class="small faint">{words(search.phase)}</div>}
          {step !== undefined && (
            <div class="small faint" title={STEPS.map(words).join(" → ")}>
              step {step + 1} of {STEPS.length}
            </div>
          )}
          {search.stale && (
            <div class="small" title={search.stale_reason ?? ""}>
              <Badge word="stale" />{" "}
              <span class="faint">
                seen <Ago at={search.observed_at} />
              </span>
            </div>
          )}
        </span>
      </td>
      <td data-label="Search" class="long">
        <span>
          <a href={addressOf(`searches/${encodeURIComponent(search.job_id)}`)}>{search.title || search.short_id}</a>
          {search.title && <div class="small faint mono">{search.short_id}</div>}
          {search.source === "external" && <div class="small faint">begun outside</div>}
          {active && search.waiting_reason && <div class="small">{search.waiting_reason}</div>}
          {search.error && <div class="small wrong">{search.error.message}</div>}
        </span>
      </td>
      <td data-label="Program">{search.program}</td>
      <td data-label="Database">{search.database}</td>
      <td data-label="Progress">
        {search.progress.total > 0 ? (
          <span>
            <Bar pct={search.progress.pct} label={`Progress of ${search.title || search.short_id}`} />
            <span class="small faint">
              {count(search.progress.succeeded)}/{count(search.progress.total)}
              {search.progress.failed > 0 && <span class="wrong"> {count(search.progress.failed)} failed</span>}
            </span>
          </span>
        ) : (
          "–"
        )}
      </td>
      <td data-label="Lasted" class="figure">{active || search.completed_at ? <Lasted from={search.created_at} to={search.completed_at} /> : "–"}</td>
      <td data-label="Begun" class="figure" title={when(search.created_at)}>
        <Ago at={search.created_at} />
      </td>
      {everybody && (
        <td data-label="Owner" class="long">
          <a href={addressOf("searches", { owner: search.owner })}>{search.owner}</a>
        </td>
      )}
    </tr>
  );
}

interface Field {
  label: string;
  name: string;
  value: string;
  change: (name: string, value: string) => void;
}

function Choice({ label, name, value, values, names, none = "any", change }: Field & { values: string[]; names?: string[]; none?: string }) {
  return (
    <div>
      <label for={`filter-${name}`}>{label}</label>
      <select id={`filter-${name}`} value={value} onChange={(event) => change(name, event.currentTarget.value)}>
        <option value="">{none}</option>
        {values.map((each, index) => (
          <option key={each} value={each}>
            {names?.[index] ?? each}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Asked for when the typing rests, not with each letter. */
function Text({ label, name, value, change }: Field) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => change(name, typed), 350);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <div>
      <label for={`filter-${name}`}>{label}</label>
      <input id={`filter-${name}`} type="search" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
    </div>
  );
}
