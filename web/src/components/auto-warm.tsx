// The boxes of auto-warm: what is brought into memory by itself.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, ask, get, withQuery } from "../api";
import { many } from "../format";
import { usePoll } from "../poll";
import type { Database, Preference } from "../types";
import { Loaded, Problem } from "./basics";

const QUIET_MS = 10_000;

interface Boxes {
  databases: Database[];
  /** The cluster parameters of each call; none for the default cluster. */
  scope: Record<string, string>;
  operator: boolean;
  saved: () => void;
  focus: boolean;
}

/** Boxes: what is to be in memory by itself. A database that is not downloaded cannot be checked (P3). */
export function AutoWarm({ databases, scope, operator, saved, focus }: Boxes) {
  const path = withQuery("/warmup/auto-preference", scope);
  const polled = usePoll<Preference>(path, (signal) => get(path, signal), () => QUIET_MS);
  const [error, setError] = useState<ApiError | null>(null);
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    if (focus) section.current?.scrollIntoView();
  }, [focus, polled.data === null]);

  const save = async (change: object) => {
    setError(null);
    try {
      await ask("/warmup/auto-preference", { method: "PUT", body: { ...change, ...scope } });
    } catch (caught) {
      if (!(caught instanceof ApiError)) throw caught;
      setError(caught);
    }
    polled.again();
    saved();
  };
  return (
    <section class="card stack" aria-label="Auto-warm" ref={section}>
      <h2>Auto-warm</h2>
      {error && <Problem error={error} />}
      <Loaded polled={polled}>
        {(preference) => {
          const chosen = new Set(preference.databases);
          const names = [...new Set([...databases.map((each) => each.name), ...preference.databases])].sort();
          return (
            <>
              <label class="inline">
                <input type="checkbox" checked={preference.enabled} disabled={!operator} onChange={(event) => save({ enabled: event.currentTarget.checked })} />
                Bring the checked databases into memory whenever the cluster is ready
              </label>
              <ul class="boxes">
                {names.map((name) => {
                  const database = databases.find((each) => each.name === name);
                  const downloaded = database !== undefined && database.storage_state !== "not_downloaded" && database.storage_state !== "incomplete";
                  const item = preference.items.find((each) => each.database === name);
                  const checked = chosen.has(name);
                  return (
                    <li key={name}>
                      <label class="inline">
                        <input
                          type="checkbox"
                          checked={checked}
                          disabled={!operator || (!downloaded && !checked)}
                          onChange={(event) => save(event.currentTarget.checked ? { add: [name] } : { remove: [name] })}
                        />
                        {name}
                      </label>
                      {!downloaded && <span class="small faint"> not downloaded</span>}
                      {item?.skipped_because && <span class="small faint"> skipped: {item.skipped_because}</span>}
                      {item?.next_try_at && <span class="small faint"> tried {many(item.tries, "time", "times")}</span>}
                    </li>
                  );
                })}
              </ul>
            </>
          );
        }}
      </Loaded>
    </section>
  );
}
