// Where the queries of a new search come from.

import { useState } from "preact/hooks";
import { count, many } from "../format";
import type { Form, Uploaded } from "../form";

/** Bytes; larger queries are uploaded first (docs/limits.md). */
export const INLINE_BYTES = 1_000_000;

/** The queries: pasted, dropped, chosen, or uploaded already. */
export function Queries({
  form,
  uploaded,
  cloned,
  change,
  take,
  clear,
}: {
  form: Form;
  uploaded: Uploaded | null;
  cloned: string | null;
  change: (part: Partial<Form>) => void;
  take: (file: File) => Promise<void>;
  clear: () => void;
}) {
  const [over, setOver] = useState(false);
  if (uploaded) {
    return (
      <p class="row">
        <strong>{uploaded.name}</strong> {many(uploaded.sequences, "sequence", "sequences")}, {count(uploaded.letters)} letters, uploaded and checked
        <button type="button" onClick={clear}>
          Another query
        </button>
      </p>
    );
  }
  return (
    <div
      class={`drop ${over ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const file = event.dataTransfer?.files[0];
        if (file) void take(file);
      }}
    >
      <label for="new-query">Queries in FASTA format</label>
      <textarea
        id="new-query"
        spellcheck={false}
        aria-describedby="new-query-help"
        placeholder={cloned ? "Empty: the queries of the original" : ">query1\nACGT…"}
        value={form.query}
        onInput={(event) => {
          const text = event.currentTarget.value;
          if (new Blob([text]).size > INLINE_BYTES) void take(new File([text], "pasted queries"));
          else change({ query: text });
        }}
      />
      <div class="row small" id="new-query-help">
        <label class="inline">
          or a file (dropped here, too; gzip is fine)
          <input
            type="file"
            accept=".fa,.fasta,.fna,.faa,.txt,.gz"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              if (file) void take(file);
            }}
          />
        </label>
      </div>
    </div>
  );
}
