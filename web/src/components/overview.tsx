// A picture of where along a query its hits lie.

import { useState } from "preact/hooks";
import { count, evalue, percent } from "../format";
import type { Hit } from "../types";

const WIDTH = 800;
const ROW = 12;
const MOST_ROWS = 40;
const BANDS = [
  { least: 200, label: "200 and more", name: "s5" },
  { least: 80, label: "80 to 200", name: "s4" },
  { least: 50, label: "50 to 80", name: "s3" },
  { least: 40, label: "40 to 50", name: "s2" },
  { least: -Infinity, label: "below 40", name: "s1" },
];
/** The classes of bit scores that BLAST's own report has had since the 1990s. */
const bandOf = (score: number | null) => BANDS.find((band) => (score ?? -Infinity) >= band.least) ?? BANDS[BANDS.length - 1];

/** Where the best hits lie along one query, a line a subject. */
export function Overview({ hits, choose }: { hits: Hit[]; choose: (query: string) => void }) {
  const queries = [...new Set(hits.map((hit) => hit.query).filter((query): query is string => query !== null))];
  const [wanted, setWanted] = useState("");
  const query = queries.includes(wanted) ? wanted : queries[0];
  const placed = hits.filter((hit) => hit.query === query && hit.query_start !== null && hit.query_end !== null);
  if (!query || !placed.length) return null;
  const bySubject = new Map<string, Hit[]>();
  for (const hit of placed) {
    const subject = hit.subject ?? "";
    if (bySubject.has(subject) || bySubject.size < MOST_ROWS) bySubject.set(subject, [...(bySubject.get(subject) ?? []), hit]);
  }
  const end = Math.max(...placed.map((hit) => Math.max(hit.query_start ?? 0, hit.query_end ?? 0)));
  const x = (position: number) => ((position - 1) / Math.max(1, end - 1)) * WIDTH;
  const height = bySubject.size * ROW + 22;
  const summary = `${bySubject.size} subjects with hits between 1 and ${end} of query ${query}; the table below has the numbers`;
  return (
    <figure class="overview">
      <figcaption class="row">
        <label class="inline">
          Hits along
          <select value={query} onChange={(event) => setWanted(event.currentTarget.value)}>
            {queries.map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
        {queries.length > 1 && (
          <button type="button" class="link" onClick={() => choose(query)}>
            Only this query in the table
          </button>
        )}
        <span class="legend small">
          bit score:
          {BANDS.map((band) => (
            <span key={band.name}>
              <svg width="12" height="12" aria-hidden="true">
                <rect width="12" height="12" class={band.name} />
              </svg>{" "}
              {band.label}
            </span>
          ))}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={summary}>
        <rect x="0" y="2" width={WIDTH} height="6" class="axis" />
        <text x="0" y="19" class="tick">1</text>
        <text x={WIDTH} y="19" class="tick" text-anchor="end">{count(end)}</text>
        {[...bySubject].map(([subject, found], row) => (
          <g key={subject}>
            {found.map((hit, index) => {
              const from = Math.min(hit.query_start ?? 1, hit.query_end ?? 1);
              const to = Math.max(hit.query_start ?? 1, hit.query_end ?? 1);
              return (
                <rect key={index} x={x(from)} y={22 + row * ROW} width={Math.max(2, x(to) - x(from))} height={ROW - 4} rx="2" class={bandOf(hit.bit_score)?.name}>
                  <title>{`${subject} ${from}-${to}, ${percent(hit.identity)}, E ${evalue(hit.evalue)}`}</title>
                </rect>
              );
            })}
          </g>
        ))}
      </svg>
    </figure>
  );
}
