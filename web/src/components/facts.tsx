// What a search was asked for, and what happened to it.

import { get } from "../api";
import { count, dollars, many, when, words } from "../format";
import { usePoll } from "../poll";
import { addressOf } from "../router";
import type { HistoryEvent, Me, Page, SearchDetail } from "../types";

export function Facts({ search, me }: { search: SearchDetail; me: Me | null }) {
  const { query, options } = search;
  return (
    <section class="card" aria-label="What was asked for">
      <h2>What was asked for</h2>
      <dl class="facts">
        <Fact name="id" value={search.job_id} />
        <Fact name="submitted" value={when(search.created_at)} />
        {search.aliases.length > 0 && <Fact name="also known as" value={search.aliases.join(", ")} />}
        <Fact name="program" value={search.program} />
        <Fact name="database" value={search.database} />
        {query.sequences !== undefined && <Fact name="queries" value={`${many(query.sequences, "sequence", "sequences")}, ${count(query.letters)} letters`} />}
        {Object.entries(options)
          .filter(([, value]) => value !== null && value !== "")
          .map(([name, value]) => (
            <Fact key={name} name={words(name)} value={value} />
          ))}
        {Object.entries(search.labels).map(([name, value]) => (
          <Fact key={name} name={`label ${name}`} value={value} />
        ))}
        {me?.owner !== search.owner && <Fact name="owner" value={search.owner} />}
        {search.attempt > 1 && <Fact name="attempt" value={search.attempt} />}
        {search.cost && (
          <Fact
            name="cost"
            value={`${dollars(search.cost.estimate_usd)} (${search.cost.assumptions})`}
          />
        )}
        {search.cloned_from && (
          <>
            <dt>clone of</dt>
            <dd>
              <a href={addressOf(`searches/${encodeURIComponent(search.cloned_from)}`)}>{search.cloned_from}</a>
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}

export function Fact({ name, value }: { name: string; value: unknown }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value === null || value === undefined ? "–" : String(value)}</dd>
    </>
  );
}

export function History({ path, attempt }: { path: string; attempt: string }) {
  const events = usePoll<Page<HistoryEvent>>(`${path}/events ${attempt}`, (signal) => get(`${path}/events?limit=50`, signal), () => null);
  if (!events.data?.items.length) return null;
  return (
    <section class="card" aria-label="History">
      <h2>History</h2>
      <ul class="history">
        {events.data.items.map((event) => (
          <li key={`${event.at}${event.kind}`}>
            <span class="faint small">{when(event.at)}</span> {words(event.kind)} <span class="faint">by {event.who}</span>
            {event.why && <>: {event.why}</>}
          </li>
        ))}
      </ul>
    </section>
  );
}
