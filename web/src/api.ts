// Every call to the API goes through here: errors as the API tells them, sign-in when nobody is signed in.

import { learnTime } from "./clock";

const SIGN_IN = "/.auth/login/aad";
const PATIENCE_MS = 30_000;

/** What went wrong, for the person who reads it: the API's own words, or that it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly details: { field?: string; message?: string }[] = [],
    /** Milliseconds that the server asks to be left alone for (`Retry-After`). */
    readonly pause = 0,
  ) {
    super(message);
  }

  /** What was shown before is not the caller's to see any more, or not there any more: it is no old truth. */
  get takesAway(): boolean {
    return [403, 404, 410].includes(this.status);
  }
}

export interface Call {
  method?: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is. */
  raw?: Blob | string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The answer as JSON; `etag` is the header's. Throws ApiError, or AbortError when `signal` was. */
export async function ask<T>(path: string, call: Call = {}): Promise<{ data: T; etag: string | null; status: number }> {
  const headers: Record<string, string> = { Accept: "application/json", ...call.headers };
  if (call.body !== undefined) headers["Content-Type"] = "application/json";
  const method = call.method ?? "GET";
  const reading = method === "GET";
  const patience = reading ? AbortSignal.timeout(PATIENCE_MS) : null; // who only asks can ask again
  let answer: Response;
  let data: unknown;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers,
      body: call.raw ?? (call.body === undefined ? null : JSON.stringify(call.body)),
      signal: patience && call.signal ? AbortSignal.any([patience, call.signal]) : (patience ?? call.signal ?? null),
      credentials: "same-origin",
    });
    learnTime(answer.headers.get("Date"));
    data = await answer.json().catch((error: unknown) => {
      if (error instanceof SyntaxError) return undefined;
      throw error; // it broke off
    });
  } catch (error) {
    if (call.signal?.aborted) throw error;
    const hint = reading ? "What is shown is what it said last; it is asked again." : "Whether it was done is not known. Look, then try again.";
    throw new ApiError(0, "unreachable", "The server does not answer.", hint);
  }
  if (answer.ok && data !== undefined) return { data: data as T, etag: answer.headers.get("ETag"), status: answer.status };
  const told = (data as { error?: { code?: string; message?: string; hint?: string; details?: [] } } | null | undefined)?.error;
  throw new ApiError(
    answer.status,
    told?.code ?? "unreadable_answer",
    told?.message ?? `The server answered ${answer.status}, and not as the API does.`,
    told?.hint ?? "",
    told?.details ?? [],
    pauseOf(answer.headers.get("Retry-After")),
  );
}

/** `Retry-After` in milliseconds; the API gives seconds, a gateway before it may give a date (RFC 9110, 10.2.3). */
function pauseOf(header: string | null): number {
  if (!header) return 0;
  const seconds = Number(header);
  const pause = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(pause) ? Math.max(0, pause) : 0;
}

/** `ask`, only the data. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask<T>(path, signal ? { signal } : {})).data;
}

/** Sign in where the platform does that; back to the same view afterwards. */
export function signIn(): void {
  const back = encodeURIComponent(`/${location.hash}`);
  location.assign(`${SIGN_IN}?post_login_redirect_uri=${back}`);
}

/** A path with a query; what is empty is left out. */
export function withQuery(path: string, query: Record<string, string | number | null | undefined>): string {
  const found = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return found.length ? `${path}?${new URLSearchParams(found.map(([name, value]) => [name, String(value)]))}` : path;
}

/** A key under which a submit is done once. `crypto.randomUUID` is there on https and localhost only. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
