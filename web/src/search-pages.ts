// The list of searches as far down as one has asked for it: the newest page is asked for again and again, the older ones
// when they have moved on, or hold searches at work.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, withQuery } from "./api";
import { usePoll, type Polled } from "./poll";
import type { Page, SearchItem } from "./types";

export const PAGE = 50;
/** The API's own limit. */
const LARGEST_PAGE = 500;
/** A filtered page may be short, or empty, and not the last: the API looks through so many rows a call. */
const MOST_CALLS = 12;
const LIVE_MS = 1000;
const QUIET_MS = 5000;
const OLDER_MS = 10_000;
const ENDED = new Set(["completed", "failed", "cancelled", "delete_failed"]);

/** Whether the server may still say something else about it by itself. */
export function isActive(search: SearchItem): boolean {
  return !ENDED.has(search.status);
}

interface Older {
  /** Where the newest page ended when these were read; when it ends elsewhere they are read again. */
  after: string | null;
  items: SearchItem[];
  next: string | null;
}

export interface SearchPages {
  newest: Polled<Page<SearchItem>>;
  items: SearchItem[];
  /** There are more. */
  more: boolean;
  busy: boolean;
  error: ApiError | null;
  /** Show as many again. */
  show: () => void;
}

/** @param filter the API's own query parameters; all of them empty for no filter. */
export function useSearchPages(filter: Record<string, string>): SearchPages {
  const key = withQuery("/blast/jobs", filter);
  const filtered = Object.entries(filter).some(([name, value]) => value && name !== "owner");
  const [wanted, setWanted] = useState({ key, rows: PAGE });
  const rows = wanted.key === key ? wanted.rows : PAGE;
  const newest = usePoll<Page<SearchItem>>(
    key,
    (signal) => get(withQuery("/blast/jobs", { limit: PAGE, ...filter }), signal),
    (page) => (page?.items.some(isActive) ? LIVE_MS : QUIET_MS),
  );
  const after = newest.data?.next_cursor ?? null;
  const begun = newest.data?.items.length ?? 0;
  const latest = useRef<string | null>(after);
  latest.current = after;
  const needed = newest.data !== null && after !== null && begun < (filtered ? Math.max(rows, PAGE) : rows);
  const older = usePoll<Older>(
    needed ? `${key} ${rows}` : "",
    (signal) => (needed ? readOlder(filter, latest.current, rows - begun, signal) : Promise.resolve({ after: null, items: [], next: null })),
    (found) => (needed && found?.items.some(isActive) ? OLDER_MS : null),
  );
  // What was read for fewer rows stays until the longer list is there.
  const kept = useRef<{ key: string; older: Older } | null>(null);
  if (older.data && needed) kept.current = { key, older: older.data };
  const shown = needed && kept.current?.key === key ? kept.current.older : null;

  // A new search pushes another off the newest page: it must be on the older ones then.
  const moved = needed && older.data !== null && older.data.after !== after;
  useEffect(() => {
    if (!moved) return undefined;
    const timer = setTimeout(older.again, LIVE_MS);
    return () => clearTimeout(timer);
  }, [moved, after]);

  const first = newest.data?.items ?? [];
  const known = new Set(first.map((each) => each.job_id));
  const items = shown ? [...first, ...shown.items.filter((each) => !known.has(each.job_id))] : first;
  return {
    newest,
    items,
    more: (shown ? shown.next : after) !== null,
    busy: needed && older.data === null && older.error === null,
    error: needed ? older.error : null,
    show: () => setWanted({ key, rows: rows + Math.max(PAGE, items.length) }),
  };
}

/** Enough searches after a cursor, in few calls; fewer where there are no more, or the calls are used up. */
async function readOlder(filter: Record<string, string>, after: string | null, wanted: number, signal: AbortSignal): Promise<Older> {
  const items: SearchItem[] = [];
  let next = after;
  for (let call = 0; next !== null && items.length < wanted && call < MOST_CALLS * Math.ceil(wanted / PAGE); call += 1) {
    const limit = Math.min(LARGEST_PAGE, Math.max(PAGE, wanted - items.length));
    const page: Page<SearchItem> = await get(withQuery("/blast/jobs", { limit, cursor: next, ...filter }), signal);
    items.push(...page.items);
    next = page.next_cursor;
  }
  return { after, items, next };
}
