// Numbers and times as people read them.

/** `1 search`, `2 searches`. */
export function many(number: number, one: string, several: string): string {
  return `${count(number)} ${number === 1 ? one : several}`;
}

/** `4.2 GB`; decimal units, as storage bills are. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `1,234,567`. */
export function count(number: number | null | undefined): string {
  return number === null || number === undefined ? "–" : number.toLocaleString("en-US");
}

/** `0.4 s`, `55 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Seconds between two RFC 3339 times; null where one is missing. */
export function between(from: string | null, to: string | null | number): number | null {
  if (!from || to === null || to === "") return null;
  return ((typeof to === "number" ? to : Date.parse(to)) - Date.parse(from)) / 1000;
}

/** `12 s ago`, `8 min ago`, `3 h ago`, `2 d ago`: no finer than one looks at it. */
export function ago(at: string | number | null, now: number): string {
  if (at === null) return "never";
  const seconds = Math.max(0, (now - (typeof at === "number" ? at : Date.parse(at))) / 1000);
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86_400)} d ago`;
}

const MOMENT: Intl.DateTimeFormatOptions = {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
};

/** Date and time where the reader is, with the name of the zone. */
export function when(at: string | null): string {
  return at ? new Date(at).toLocaleString(undefined, MOMENT) : "–";
}

/** `waiting_for_capacity` as `waiting for capacity`. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** `97.3 %`. */
export function percent(identity: number | null): string {
  return identity === null ? "–" : `${identity.toFixed(1)} %`;
}

/** As BLAST prints it: short, and exact enough to compare. */
export function evalue(value: number | null): string {
  if (value === null) return "–";
  if (value === 0) return "0.0";
  return value < 0.001 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

/** `about $0.13`, `less than $0.01`. */
export function dollars(amount: number | null): string {
  if (amount === null) return "not known";
  return amount < 0.01 ? "less than $0.01" : `about $${amount.toFixed(2)}`;
}
