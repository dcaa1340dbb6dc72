// A form for vars, from what schemas of vars use.

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
}

export type Vars = Record<string, unknown>;

export function defaults(s: Schema | undefined): Vars {
  return Object.fromEntries(Object.entries(s?.properties ?? {}).flatMap(([k, p]) => (p.default === undefined ? [] : [[k, p.default]])));
}

function hint(p: Schema): string {
  const range = p.minimum !== undefined || p.maximum !== undefined ? `${p.minimum ?? "…"} to ${p.maximum ?? "…"}` : "";
  return [p.description, range].filter(Boolean).join(" · ");
}

function Field({ name, p, value, required, set }: { name: string; p: Schema; value: unknown; required: boolean; set: (v: unknown) => void }) {
  const id = `var-${name}`;
  const type = [p.type].flat().find((t) => t !== "null");
  const shared = { id, required, "aria-describedby": hint(p) ? `${id}-hint` : undefined };
  let input;
  if (p.enum) {
    input = (
      <select {...shared} value={JSON.stringify(value)} onChange={(e) => set(e.currentTarget.value === "" ? undefined : JSON.parse(e.currentTarget.value))}>
        <option value="">–</option>
        {p.enum.map((v) => <option key={JSON.stringify(v)} value={JSON.stringify(v)}>{String(v)}</option>)}
      </select>
    );
  } else if (type === "boolean") {
    input = <input {...shared} required={false} type="checkbox" checked={value === true} onChange={(e) => set(e.currentTarget.checked)} />;
  } else if (type === "integer" || type === "number") {
    input = (
      <input {...shared} type="number" step={type === "integer" ? 1 : "any"} min={p.minimum} max={p.maximum} value={value as number | undefined}
        onInput={(e) => set(e.currentTarget.value === "" ? undefined : e.currentTarget.valueAsNumber)} />
    );
  } else if (type === "string") {
    input = (
      <input {...shared} type="text" minLength={p.minLength} maxLength={p.maxLength} pattern={p.pattern} value={(value as string | undefined) ?? ""}
        onInput={(e) => set(e.currentTarget.value === "" && !required ? undefined : e.currentTarget.value)} />
    );
  } else {
    const take = (text: string) => {
      try {
        set(text.trim() === "" ? undefined : JSON.parse(text));
      } catch {
        // the browser's change event comes again when it is JSON
      }
    };
    input = <input {...shared} type="text" placeholder="JSON" value={value === undefined ? "" : JSON.stringify(value)} onChange={(e) => take(e.currentTarget.value)} />;
  }
  return (
    <div class="field">
      <label for={id}>{p.title ?? name}{required && <span aria-hidden="true"> *</span>}</label>
      {input}
      {hint(p) && <span class="quiet" id={`${id}-hint`}>{hint(p)}</span>}
    </div>
  );
}

export function VarsForm({ schema, vars, set }: { schema: Schema; vars: Vars; set: (v: Vars) => void }) {
  return (
    <div class="fields">
      {Object.entries(schema.properties ?? {}).map(([name, p]) => (
        <Field key={name} name={name} p={p} value={vars[name]} required={schema.required?.includes(name) ?? false}
          set={(v) => {
            const next = { ...vars, [name]: v };
            if (v === undefined) delete next[name];
            set(next);
          }} />
      ))}
    </div>
  );
}
