// The hits: a picture of where along the query they lie, and a table that can be filtered and sorted.

import { useEffect, useState } from "preact/hooks";
import { ApiError, get, withQuery } from "../api";
import { count, evalue, many, percent } from "../format";
import { addressOf, go } from "../router";
import type { Hit, Page, SearchItem } from "../types";
import { Problem } from "./basics";
import { Overview } from "./overview";

const PAGE = 100;
const MOST_EMPTY_PAGES = 20;
const SORTS = [
  { key: "identity", label: "Identity", of: (hit: Hit) => percent(hit.identity) },
  { key: "length", label: "Length", of: (hit: Hit) => count(hit.length) },
  { key: "evalue", label: "E-value", of: (hit: Hit) => evalue(hit.evalue) },
  { key: "bit_score", label: "Bit score", of: (hit: Hit) => (hit.bit_score === null ? "–" : String(hit.bit_score)) },
] as const;

type Filter = Record<"query" | "min_identity" | "max_evalue" | "sort", string>;
/** What BLAST writes in the place of a title that there is none of. */
const NO_TITLE = "No definition line";
/** The API's words for a result of which it makes no rows: another output format, or one made outside. */
const NO_ROWS = new Set(["hits_not_available", "column_missing"]);

function filterOf(query: URLSearchParams): Filter {
  const of = (name: string) => query.get(name) ?? "";
  return { query: of("query"), min_identity: of("min_identity"), max_evalue: of("max_evalue"), sort: of("sort") };
}

/** What is filtered by and sorted by stands in the address: it can be sent to somebody, and back goes back. */
export function Hits({ search, path, query }: { search: SearchItem; path: string; query: URLSearchParams }) {
  const filter = filterOf(query);
  const asked = JSON.stringify(filter);
  const attempt = search.attempt;
  const setFilter = (next: Filter) => go(addressOf(`searches/${encodeURIComponent(search.job_id)}`, next), true);
  const [typed, setTyped] = useState(filter);
  useEffect(() => setTyped(filter), [asked]);
  const [hits, setHits] = useState<Hit[]>([]);
  const [cursor, setCursor] = useState<string | null>(null);
  const [state, setState] = useState<"busy" | "idle">("busy");
  const [error, setError] = useState<ApiError | null>(null);

  // A page may be short or empty and still not be the last: a filter looks through a bounded part of the result a call.
  const load = async (from: string | null, before: Hit[], signal?: AbortSignal) => {
    setState("busy");
    setError(null);
    try {
      let found: Hit[] = [];
      let next = from;
      for (let turn = 0; turn < MOST_EMPTY_PAGES; turn += 1) {
        const page = await get<Page<Hit>>(withQuery(`${path}/hits`, { ...filter, limit: PAGE, cursor: next }), signal);
        found = [...found, ...page.items];
        next = page.next_cursor;
        if (next === null || found.length >= PAGE) break;
      }
      setHits([...before, ...found]);
      setCursor(next);
    } catch (caught) {
      if (signal?.aborted) return;
      if (!(caught instanceof ApiError)) throw caught;
      setError(caught);
    } finally {
      if (!signal?.aborted) setState("idle");
    }
  };
  useEffect(() => {
    const stop = new AbortController();
    setHits([]);
    void load(null, [], stop.signal);
    return () => stop.abort();
  }, [asked, attempt, path]);

  const field = (name: keyof Filter) => ({
    id: `hits-${name}`,
    value: typed[name],
    onInput: (event: { currentTarget: HTMLInputElement }) => setTyped({ ...typed, [name]: event.currentTarget.value }),
  });
  const sort = (key: string) => {
    // The best first: small E-values, large everything else; again turns it round, a third time is the result's own order.
    const best = key === "evalue" ? key : `-${key}`;
    const other = key === "evalue" ? `-${key}` : key;
    setFilter({ ...filter, sort: filter.sort === best ? other : filter.sort === other ? "" : best });
  };
  const ariaSort = (key: string) => (filter.sort === key ? "ascending" : filter.sort === `-${key}` ? "descending" : "none");

  if (error && NO_ROWS.has(error.code)) {
    return (
      <p class="notice wait">
        {error.message}. {error.hint}
      </p>
    );
  }
  const filtered = filter.query || filter.min_identity || filter.max_evalue;
  return (
    <div class="stack">
      <form
        class="fields"
        aria-label="Filter the hits"
        onSubmit={(event) => {
          event.preventDefault();
          setFilter({ ...typed, sort: filter.sort });
        }}
      >
        <div>
          <label for="hits-query">Query id</label>
          <input {...field("query")} />
        </div>
        <div>
          <label for="hits-min_identity">Identity at least (%)</label>
          <input {...field("min_identity")} inputMode="decimal" />
        </div>
        <div>
          <label for="hits-max_evalue">E-value at most</label>
          <input {...field("max_evalue")} inputMode="decimal" />
        </div>
        <div class="row">
          <button type="submit">Filter hits</button>
          {filtered && (
            <button type="button" onClick={() => setFilter({ query: "", min_identity: "", max_evalue: "", sort: filter.sort })}>
              All hits
            </button>
          )}
        </div>
      </form>
      {error && <Problem error={error} />}
      <Overview hits={hits} choose={(chosen) => setFilter({ ...filter, query: chosen })} />
      <div class="scroll" tabIndex={0} role="region" aria-label="Hits">
        <table>
          <thead>
            <tr>
              <th scope="col">Query</th>
              <th scope="col">Subject</th>
              {SORTS.map((each) => (
                <th key={each.key} scope="col" aria-sort={ariaSort(each.key)} class="right-aligned">
                  <button type="button" onClick={() => sort(each.key)}>
                    {each.label}
                    {ariaSort(each.key) === "ascending" ? " ↑" : ariaSort(each.key) === "descending" ? " ↓" : ""}
                  </button>
                </th>
              ))}
              <th scope="col">In the query</th>
              <th scope="col">In the subject</th>
            </tr>
          </thead>
          <tbody>
            {hits.map((hit, index) => (
              <tr key={index}>
                <td class="long">{hit.query}</td>
                <td class="long">
                  {hit.subject}
                  {hit.title && hit.title !== NO_TITLE && <div class="small faint">{hit.title}</div>}
                </td>
                {SORTS.map((each) => (
                  <td key={each.key} class="right-aligned">
                    {each.of(hit)}
                  </td>
                ))}
                <td class="figure">{range(hit.query_start, hit.query_end)}</td>
                <td class="figure">{range(hit.subject_start, hit.subject_end)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="row">
        <span class="faint small" role="status">
          {state === "busy" ? "Loading hits …" : !hits.length && !cursor && filtered ? "No hit is like that" : `${many(hits.length, "hit", "hits")} shown${cursor ? ", there are more" : ""}`}
        </span>
        {cursor && state === "idle" && (
          <button type="button" onClick={() => load(cursor, hits)}>
            More hits
          </button>
        )}
      </div>
    </div>
  );
}

function range(from: number | null, to: number | null): string {
  return from === null || to === null ? "–" : `${count(from)}–${count(to)}`;
}
