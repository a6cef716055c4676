// Fields of a form, each with its label.

export function Select({
  label,
  name,
  value,
  values,
  none,
  change,
}: {
  label: string;
  name: string;
  value: string;
  values: string[];
  none?: string;
  change: (value: string) => void;
}) {
  return (
    <div>
      <label for={`new-${name}`}>{label}</label>
      <select id={`new-${name}`} value={value} onChange={(event) => change(event.currentTarget.value)}>
        {none !== undefined && <option value="">{none}</option>}
        {values.map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Text({
  label,
  name,
  value,
  placeholder,
  change,
}: {
  label: string;
  name: string;
  value: string;
  placeholder?: string;
  change: (value: string) => void;
}) {
  return (
    <div>
      <label for={`new-${name}`}>{label}</label>
      <input id={`new-${name}`} value={value} placeholder={placeholder} autoComplete="off" onInput={(event) => change(event.currentTarget.value)} />
    </div>
  );
}
