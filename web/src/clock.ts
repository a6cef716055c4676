// What the time is: the server's, where the browser's clock is wrong, because all times that are shown are the server's.
// One timer for the whole page, and only what reads differently is drawn again.

import { useEffect, useState } from "preact/hooks";

/** A `Date` header has whole seconds and was written before it came: less than this is no wrong clock. */
const TOLERATED_MS = 3000;
let offset = 0;

/** Take the server's time from the `Date` header of an answer that has just come (RFC 9110, 6.6.1). */
export function learnTime(header: string | null): void {
  const told = header ? Date.parse(header) : NaN;
  if (Number.isNaN(told)) return;
  const difference = told + 500 - Date.now();
  offset = Math.abs(difference) > TOLERATED_MS ? difference : 0;
}

/** Milliseconds since 1970 by the server's clock. */
export function serverNow(): number {
  return Date.now() + offset;
}

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function listen(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => listeners.forEach((each) => each()), 1000);
  return () => {
    listeners.delete(listener);
    if (!listeners.size) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** What `read` makes of the time; the component is drawn again when that has become something else. */
export function useTime<T extends string | number | boolean>(read: (now: number) => T): T {
  const shown = read(serverNow());
  const [, redraw] = useState<T>(shown);
  useEffect(() => listen(() => redraw(read(serverNow()))));
  return shown;
}
