// A search as it is typed into the form, and as the API wants it.

import type { Cluster, SearchDetail } from "./types";
import { clusterQuery } from "./clusters";

export const PROGRAMS = ["blastn", "blastp", "blastx", "tblastn", "tblastx"];
export const TASKS: Record<string, string[]> = {
  blastn: ["megablast", "dc-megablast", "blastn", "blastn-short"],
  blastp: ["blastp", "blastp-short", "blastp-fast"],
  blastx: ["blastx", "blastx-fast"],
  tblastn: ["tblastn", "tblastn-fast"],
  tblastx: [],
};

export interface Form {
  program: string;
  database: string;
  title: string;
  query: string;
  task: string;
  evalue: string;
  max_target_seqs: string;
  word_size: string;
  outfmt: string;
  extra: string;
  batch_len: string;
  labels: string;
}

export const EMPTY: Form = {
  program: "blastn",
  database: "",
  title: "",
  query: "",
  task: "",
  evalue: "",
  max_target_seqs: "",
  word_size: "",
  outfmt: "6 std",
  extra: "",
  batch_len: "",
  labels: "",
};

/** Queries that were sent before the search. */
export interface Uploaded {
  name: string;
  query_blob: string;
  sequences: number;
  letters: number;
}

/** The body of a submit, a clone or a validation; what is left out is the server's to choose. */
export function bodyOf(form: Form, uploaded: Uploaded | null, cluster: Cluster | null): Record<string, unknown> {
  const options = {
    outfmt: form.outfmt.trim() || undefined,
    task: form.task || undefined,
    evalue: number(form.evalue),
    max_target_seqs: number(form.max_target_seqs),
    word_size: number(form.word_size),
    extra: form.extra.trim() || undefined,
  };
  return {
    program: form.program,
    database: form.database.trim(),
    title: form.title.trim(),
    options,
    labels: labelsOf(form.labels),
    batch_len: number(form.batch_len),
    ...(cluster ? { cluster: clusterQuery(cluster) } : {}),
    ...(uploaded ? { query_blob: uploaded.query_blob } : form.query.trim() ? { query_fasta: form.query } : {}),
  };
}

/** `project=x, sample=7` as an object; a word without `=` is a label without a value. */
function labelsOf(text: string): Record<string, string> {
  const parts = text.split(",").map((part) => part.trim());
  return Object.fromEntries(
    parts.filter(Boolean).map((part) => {
      const [name = "", ...value] = part.split("=");
      return [name.trim(), value.join("=").trim()];
    }),
  );
}

/** A number as it was typed; what is none goes as text, so that the check of the server names it. */
function number(text: string): number | string | undefined {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : trimmed;
}

/** The form of a search that is to be cloned; its queries stay where they are. */
export function formOf(search: SearchDetail): Partial<Form> {
  const option = (name: string) => (search.options[name] === null || search.options[name] === undefined ? "" : String(search.options[name]));
  return {
    program: search.program,
    database: search.database,
    title: search.title,
    task: option("task"),
    evalue: option("evalue"),
    max_target_seqs: option("max_target_seqs"),
    word_size: option("word_size"),
    outfmt: option("outfmt"),
    extra: option("extra"),
    batch_len: search.query.batch_len === undefined || search.query.batch_len === null ? "" : String(search.query.batch_len),
    labels: Object.entries(search.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(", "),
  };
}
