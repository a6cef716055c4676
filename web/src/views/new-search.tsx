// A new search: paste or drop the queries, see every check before anything is sent off, submit once.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, ask, get, newKey, withQuery } from "../api";
import { clusterKey, clusterLabel, clusterQuery } from "../clusters";
import { Problem, useTitle } from "../components/basics";
import { Checks, useReport } from "../components/checks";
import { Select, Text } from "../components/fields";
import { INLINE_BYTES, Queries } from "../components/queries";
import { EMPTY, PROGRAMS, TASKS, bodyOf, formOf, type Form, type Uploaded } from "../form";
import { bytes, words } from "../format";
import { addressOf, go } from "../router";
import type { Cluster, Database, Page, SearchDetail } from "../types";

/** What a browser sends in one piece; docs/limits.md. */
const UPLOAD_BYTES = 100_000_000;

export function NewSearchView({ query }: { query: URLSearchParams }) {
  const cloned = query.get("clone");
  const [form, setForm] = useState<Form>({ ...EMPTY, database: query.get("database") ?? "" });
  const [uploaded, setUploaded] = useState<Uploaded | null>(null);
  const [databases, setDatabases] = useState<Database[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState<string | null>(null);
  const [clusters, setClusters] = useState<Cluster[]>([]);
  const [named, setNamed] = useState(query.get("cluster") ?? "");
  const key = useRef<string>(newKey());
  const change = (part: Partial<Form>) => {
    key.current = newKey(); // another search than the one that may have been sent
    setForm((before) => ({ ...before, ...part }));
  };

  const cluster = clusters.find((each) => named && [clusterLabel(each, clusters), clusterKey(each)].includes(named)) ?? null;
  useTitle(cloned ? "Clone a search" : "New search");

  useEffect(() => {
    get<Page<Cluster>>("/monitor/aks").then((page) => setClusters(page.items), ignoreApi);
  }, []);
  useEffect(() => {
    get<Page<Database>>(withQuery("/blast/databases", cluster ? clusterQuery(cluster) : {})).then((page) => setDatabases(page.items), ignoreApi);
  }, [cluster && clusterKey(cluster)]);
  useEffect(() => {
    if (!cloned) return;
    get<SearchDetail>(`/blast/jobs/${encodeURIComponent(cloned)}`).then((search) => change(formOf(search)), caught(setError));
  }, [cloned]);

  const body = bodyOf(form, uploaded, cluster);
  const hasQuery = Boolean(uploaded || form.query.trim());
  const checked = useReport(body, hasQuery && Boolean(form.database));

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy("Submitting …");
    setError(null);
    try {
      const path = cloned ? `/blast/jobs/${encodeURIComponent(cloned)}/clone` : "/blast/jobs";
      const { data } = await ask<{ job_id: string }>(path, { method: "POST", body, headers: { "Idempotency-Key": key.current } });
      go(addressOf(`searches/${encodeURIComponent(data.job_id)}`));
    } catch (failure) {
      caught(setError)(failure);
    } finally {
      setBusy(null);
    }
  };
  const take = async (file: File) => {
    setError(null);
    if (file.size <= INLINE_BYTES && !file.name.endsWith(".gz")) {
      setUploaded(null);
      change({ query: await file.text(), title: form.title || file.name });
      return;
    }
    setBusy(`Uploading ${file.name} (${bytes(file.size)}) …`);
    try {
      if (file.size > UPLOAD_BYTES) {
        const hint = "Compress it with gzip, or submit it with the command line client: python -m elb submit.";
        throw new ApiError(413, "query_too_large", `${file.name} has ${bytes(file.size)}; a browser can send ${bytes(UPLOAD_BYTES)}.`, hint);
      }
      const path = withQuery("/blast/queries", { program: form.program, storage_account: cluster?.storage_account });
      const { data } = await ask<Omit<Uploaded, "name">>(path, { method: "POST", raw: file, headers: { "Content-Type": "application/octet-stream" } });
      setUploaded({ ...data, name: file.name });
      change({ query: "", title: form.title || file.name });
    } catch (failure) {
      caught(setError)(failure);
    } finally {
      setBusy(null);
    }
  };

  return (
    <>
      <h1>{cloned ? "Clone a search" : "New search"}</h1>
      {error && <Problem error={error} />}
      <form class="card stack" onSubmit={submit} aria-label="New search">
        <div class="fields">
          <Select label="Program" name="program" value={form.program} values={PROGRAMS} change={(program) => change({ program, task: "" })} />
          <div>
            <label for="new-database">Database</label>
            <input
              id="new-database"
              list="databases"
              required
              autoComplete="off"
              value={form.database}
              onInput={(event) => change({ database: event.currentTarget.value })}
            />
            <datalist id="databases">
              {databases.map((each) => (
                <option key={each.name} value={each.name}>
                  {`${words(each.warmth.state)}${each.title ? `, ${each.title}` : ""}`}
                </option>
              ))}
            </datalist>
          </div>
          <Text label="Title" name="title" value={form.title} change={(title) => change({ title })} />
        </div>
        <Queries form={form} uploaded={uploaded} cloned={cloned} change={change} take={take} clear={() => setUploaded(null)} />
        <fieldset class="fields">
          <legend class="unseen">BLAST options</legend>
          <Select label="Task" name="task" value={form.task} values={TASKS[form.program] ?? []} none="BLAST's own" change={(task) => change({ task })} />
          <Text label="E-value at most" name="evalue" placeholder="10" value={form.evalue} change={(evalue) => change({ evalue })} />
          <Text label="Subjects at most" name="max_target_seqs" placeholder="500" value={form.max_target_seqs} change={(max_target_seqs) => change({ max_target_seqs })} />
          <Text label="Word size" name="word_size" placeholder="the task's" value={form.word_size} change={(word_size) => change({ word_size })} />
          <Text label="Output format" name="outfmt" value={form.outfmt} change={(outfmt) => change({ outfmt })} />
          <Text label="Further options" name="extra" placeholder="-dust no" value={form.extra} change={(extra) => change({ extra })} />
        </fieldset>
        <details>
          <summary>Batches, labels{clusters.length > 1 && ", cluster"}</summary>
          <div class="fields">
            <Text label="Letters a batch" name="batch_len" placeholder="the program's" value={form.batch_len} change={(batch_len) => change({ batch_len })} />
            <Text label="Labels" name="labels" placeholder="project=x, sample=7" value={form.labels} change={(labels) => change({ labels })} />
            {clusters.length > 1 && (
              <Select
                label="Cluster"
                name="cluster"
                none={cloned ? "that of the original" : "the default one"}
                value={cluster ? clusterLabel(cluster, clusters) : ""}
                values={clusters.map((each) => clusterLabel(each, clusters))}
                change={(name) => {
                  setNamed(name);
                  setUploaded(null); // it was sent to the storage of the other one
                  change({});
                }}
              />
            )}
          </div>
        </details>
        <Checks checked={checked} />
        {cloned && !hasQuery && <p class="small faint">With the queries of the original; the checks are made at the submit.</p>}
        <div class="row">
          <button type="submit" class="primary" disabled={busy !== null || (named !== "" && !cluster) || (!cloned && !hasQuery) || checked.report?.ok === false}>
            {cloned ? "Submit the clone" : "Submit"}
          </button>
          {named && !cluster && <span class="faint">{clusters.length ? `No cluster ${named} is known.` : `Looking for the cluster ${named} …`}</span>}
          {busy && <span role="status">{busy}</span>}
        </div>
      </form>
    </>
  );
}

function ignoreApi(failure: unknown): void {
  if (!(failure instanceof ApiError)) throw failure; // the names of databases are a help only
}

function caught(show: (error: ApiError) => void): (failure: unknown) => void {
  return (failure) => {
    if (!(failure instanceof ApiError)) throw failure;
    show(failure);
  };
}
