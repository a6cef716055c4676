// Addresses: #/searches, #/searches/<id>, #/new, #/databases, #/cluster, each with ?name=value. Every view can be
// bookmarked, and back goes back.

import { useEffect, useState } from "preact/hooks";

export interface Address {
  /** `searches`, ... */
  view: string;
  /** What stands after the view, decoded. */
  rest: string[];
  query: URLSearchParams;
}

export function readAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", ...rest] = path.split("/").map(decoded);
  return { view: view || "searches", rest: rest.filter(Boolean), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a view; what is empty is left out of the query. */
export function addressOf(path: string, query: Record<string, string | null | undefined> = {}): string {
  const found = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const text = new URLSearchParams(found).toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

/** Go there; `replace` leaves no step to go back to (filters as they are typed). */
export function go(address: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = address;
  }
}

export function useAddress(): Address {
  const [address, setAddress] = useState(readAddress(location.hash));
  useEffect(() => {
    const changed = () => setAddress(readAddress(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return address;
}
