// What is shown stays as new as the server has it: asked again after each answer, never twice at once, not while the
// tab is hidden, with growing pauses while the server does not answer, and not before the time that it names.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";
import { serverNow } from "./clock";

export interface Polled<T> {
  data: T | null;
  error: ApiError | null;
  /** When `data` was answered, ms since 1970 by the server's clock. */
  at: number | null;
  /** Ask now, whatever the pause. */
  again: () => void;
}

const LONGEST_PAUSE = 30_000;

/**
 * Ask now, and again after `pause` ms.
 *
 * @param key what is asked for; another key forgets the data.
 * @param pause ms until the next time, told by the newest data; null for never.
 */
export function usePoll<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  pause: (data: T | null) => number | null,
): Polled<T> {
  const [state, setState] = useState<{ key: string; data: T | null; error: ApiError | null; at: number | null }>({
    key,
    data: null,
    error: null,
    at: null,
  });
  const asking = useRef(ask);
  const pausing = useRef(pause);
  const now = useRef<() => void>(() => undefined);
  asking.current = ask;
  pausing.current = pause;

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let newest: T | null = null;
    let text = "";
    let failures = 0;
    let refused = 0;
    let running = false;
    let askedAgain = false;

    const plan = () => {
      const growing = Math.max(refused, Math.min(LONGEST_PAUSE, 1000 * 2 ** failures));
      const wanted = askedAgain ? 0 : failures ? growing : pausing.current(newest);
      askedAgain = false;
      if (wanted !== null && !document.hidden) timer = setTimeout(turn, wanted);
    };
    const turn = async () => {
      clearTimeout(timer);
      if (running) {
        askedAgain = true;
        return;
      }
      running = true;
      try {
        const answer = await asking.current(stop.signal);
        const told = JSON.stringify(answer);
        if (newest === null || told !== text) newest = answer; // the same object where nothing has changed
        text = told;
        failures = 0;
        if (!stop.signal.aborted) setState({ key, data: newest, error: null, at: serverNow() });
      } catch (error) {
        if (stop.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        failures += 1;
        refused = error.pause;
        setState((before) => (before.key === key ? { ...before, error } : { key, data: null, error, at: null }));
      } finally {
        running = false;
      }
      if (!stop.signal.aborted) plan();
    };
    const seen = () => {
      if (!document.hidden) void turn();
    };
    now.current = () => void turn();
    document.addEventListener("visibilitychange", seen);
    void turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key]);

  const shown = state.key === key ? state : { data: null, error: null, at: null };
  return { data: shown.data, error: shown.error, at: shown.at, again: () => now.current() };
}
