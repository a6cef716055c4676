// The small pieces that every view is made of.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, signIn } from "../api";
import { useTime } from "../clock";
import { ago, between, duration, words } from "../format";
import type { Polled } from "../poll";

export type Tone = "good" | "busy" | "wait" | "bad" | "off";

const TONES: Record<string, Tone> = {
  completed: "good",
  ready: "good",
  succeeded: "good",
  ok: "good",
  running: "busy",
  loading: "busy",
  starting: "busy",
  queued: "wait",
  pending: "wait",
  warning: "wait",
  stale: "wait",
  cooled: "wait",
  stopping: "wait",
  provisioning: "wait",
  failed: "bad",
  delete_failed: "bad",
  not_found: "bad",
  incomplete: "bad",
};

/** A word with its colour; the word alone says it too. */
export function Badge({ word, tone }: { word: string; tone?: Tone }) {
  return <span class={`badge ${tone ?? TONES[word] ?? "off"}`}>{words(word)}</span>;
}

/** What went wrong and what to do. */
export function Problem({ error }: { error: ApiError }) {
  if (error.status === 401) {
    return (
      <div class="notice wait" role="alert">
        <p>You are not signed in.</p>
        <p>
          <button type="button" class="primary" onClick={signIn}>
            Sign in
          </button>
        </p>
      </div>
    );
  }
  return (
    <div class="notice bad" role="alert">
      <p>{error.message}</p>
      {error.details.map((each) => (
        <p key={`${each.field}${each.message}`}>
          {each.field}: {each.message}
        </p>
      ))}
      {error.hint && <p class="small">{error.hint}</p>}
    </div>
  );
}

/** `12 s ago`, by the server's clock. */
export function Ago({ at }: { at: string | number | null }) {
  return <>{useTime((now) => ago(at, now))}</>;
}

/** `3 min 20 s` from then until `to`, or until now where there is no end yet. */
export function Lasted({ from, to }: { from: string | null; to: string | null }) {
  return <>{useTime((now) => duration(between(from, to ?? now)))}</>;
}

/** How old what is shown is, once it is older than it should be; and why. A screen reader hears the reason once. */
export function Age({ polled, expected = 15 }: { polled: Polled<unknown>; expected?: number }) {
  const old = useTime((now) => polled.at !== null && (now - polled.at) / 1000 > expected);
  if (polled.data === null || polled.at === null) return null;
  if (polled.error?.status === 401) return <Problem error={polled.error} />;
  if (!polled.error && !old) return null;
  return (
    <div class="notice wait">
      <p>
        This was true <Ago at={polled.at} />. <span role="status">{polled.error ? polled.error.message : "Nothing newer has come since."}</span>{" "}
        <button type="button" class="link" onClick={polled.again}>
          Ask again
        </button>
      </p>
    </div>
  );
}

/** The data once it is there; before that that it is awaited, or why it does not come. */
export function Loaded<T>({
  polled,
  expected = 15,
  children,
}: {
  polled: Polled<T>;
  /** Seconds after which the data is called old. */
  expected?: number;
  children: (data: T) => ComponentChildren;
}) {
  if (polled.error && (polled.data === null || polled.error.takesAway)) return <Problem error={polled.error} />;
  if (polled.data !== null) {
    return (
      <>
        <Age polled={polled} expected={expected} />
        {children(polled.data)}
      </>
    );
  }
  return (
    <p class="faint" role="status">
      Loading …
    </p>
  );
}

/** The name of the tab. */
export function useTitle(text: string): void {
  useEffect(() => {
    document.title = `${text} - ElasticBLAST`;
  }, [text]);
}

/**
 * A button that does something on the server: busy while it does, and what the server said against it stands beside it.
 * `confirm` is asked for first, in place of the button; Escape keeps things as they are.
 */
export function Action({
  label,
  act,
  confirm,
  kind = "",
  title,
}: {
  label: string;
  act: () => Promise<unknown>;
  confirm?: string;
  kind?: string;
  title?: string;
}) {
  const [state, setState] = useState<"idle" | "asking" | "busy">("idle");
  const [error, setError] = useState<ApiError | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const moved = useRef(false);
  // The focus goes along with the question and back, once: not with each drawing, or nobody could leave the button.
  useEffect(() => {
    if (moved.current) button.current?.focus();
    moved.current = false;
  }, [state]);
  const turn = (to: "idle" | "asking") => {
    moved.current = true;
    setState(to);
  };

  const run = async () => {
    moved.current = document.activeElement === button.current;
    setState("busy");
    setError(null);
    try {
      await act();
    } catch (caught) {
      if (!(caught instanceof ApiError)) throw caught;
      setError(caught);
    } finally {
      setState("idle");
    }
  };
  return (
    <span class="row">
      {state === "asking" ? (
        <span class="row" role="group" aria-label={confirm} onKeyDown={(event) => event.key === "Escape" && turn("idle")}>
          <span>{confirm}</span>
          <button type="button" class="danger" onClick={run} ref={button}>
            {label}
          </button>
          <button type="button" onClick={() => turn("idle")}>
            Keep
          </button>
        </span>
      ) : (
        <button
          type="button"
          class={kind}
          title={title}
          aria-disabled={state === "busy"}
          aria-busy={state === "busy"}
          ref={button}
          onClick={state === "busy" ? undefined : confirm ? () => turn("asking") : run}
        >
          {state === "busy" ? `${label} …` : label}
        </button>
      )}
      {error && <Problem error={error} />}
    </span>
  );
}

/** A progress bar with its number in words for who cannot see it. */
export function Bar({ pct, label }: { pct: number; label: string }) {
  return <progress max={100} value={pct} aria-label={label} />;
}
