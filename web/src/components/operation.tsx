// Work that takes longer than a request: looked at until it has ended, and then what became of it.

import { useState } from "preact/hooks";
import { get, type ApiError } from "../api";
import { usePoll } from "../poll";
import { Badge } from "./basics";

interface Work {
  runtime_status: string;
  custom_status: { phase?: string; reason?: string; progress_pct?: number } | null;
  output: { status: string; detail?: string; error?: { code: string; message: string; hint: string } } | null;
}

export interface Watched {
  what: string;
  work: Work | null;
  error: ApiError | null;
  /** Begun, and not seen to end. */
  busy: boolean;
  begin: (path: string, what: string) => void;
}

/** One piece of work at a time; `ended` is called when it has come to its end. */
export function useOperation(ended: () => void): Watched {
  const [asked, setAsked] = useState<{ path: string; what: string } | null>(null);
  const polled = usePoll<Work | null>(
    asked?.path ?? "",
    async (signal) => {
      if (!asked) return null;
      const work = await get<Work>(asked.path, signal);
      if (work.output) ended();
      return work;
    },
    (work) => (asked && !work?.output ? 1000 : null),
  );
  return { what: asked?.what ?? "", work: polled.data, error: polled.error, busy: asked !== null && !polled.data?.output, begin: (path, what) => setAsked({ path, what }) };
}

export function Operation({ operation }: { operation: Watched }) {
  const { what, work, error } = operation;
  if (!what) return null;
  const failure = work?.output?.error;
  if (failure) {
    return (
      <div class="notice bad" role="alert">
        <p>
          {what}: {failure.message}
        </p>
        <p class="small">{failure.hint}</p>
      </div>
    );
  }
  return (
    <span class="row small">
      <span role="status" class="row">
        {what}
        <Badge word={work?.output?.status ?? work?.custom_status?.phase ?? "requested"} tone={work?.output ? "good" : "busy"} />
        {work?.output?.detail ?? work?.custom_status?.reason ?? ""}
      </span>
      {!work?.output && work?.custom_status?.progress_pct ? `${Math.round(work.custom_status.progress_pct)} %` : ""}
      {error && <span class="wrong">{error.message}</span>}
    </span>
  );
}
