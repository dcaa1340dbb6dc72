// The frames of a reply, each as what it may be.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Frame } from "./api";
import { bytesOf, type Format, formats, hex, power, type Recording, samples, size, typeOf, wav, wavOf } from "./bytes";

const shown = 262_144; // characters or samples at most

function Tree({ value, name }: { value: unknown; name?: string }) {
  const label = name === undefined ? null : <span class="name">{name}: </span>;
  if (typeof value !== "object" || value === null) return <div class="leaf">{label}{JSON.stringify(value)}</div>;
  const entries = Object.entries(value);
  return (
    <details open={name === undefined || entries.length < 20}>
      <summary>{label}{Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`}</summary>
      {entries.slice(0, 500).map(([k, v]) => <Tree key={k} name={k} value={v} />)}
    </details>
  );
}

function useBlob(bytes: Uint8Array<ArrayBuffer> | Blob, type: string): string {
  const [url, setURL] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(bytes instanceof Blob ? bytes : new Blob([bytes], { type }));
    setURL(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes, type]);
  return url;
}

function Plot({ xs, series, x, y }: { xs: Float32Array; series: [string, Float32Array][]; x: string; y: string }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const at = box.current!;
    const colour = (name: string) => getComputedStyle(at).getPropertyValue(name);
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const plot = new uPlot({
      width: at.clientWidth, height: 220, legend: { show: series.length > 1 }, scales: { x: { time: false } },
      axes: [{ ...axis, label: x }, { ...axis, label: y, size: 60 }],
      series: [{ label: x }, ...series.map(([label], i) => ({ label, stroke: colour(i ? "--second" : "--accent"), width: 1 }))],
    }, [xs, ...series.map(([, v]) => v)] as unknown as uPlot.AlignedData, at);
    const resized = new ResizeObserver(() => plot.setSize({ width: at.clientWidth, height: 220 }));
    resized.observe(at);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [xs, series]);
  return <div class="plot" ref={box} role="img" aria-label={`${y} by ${x}`} />;
}

function Waterfall({ rows, label }: { rows: Float32Array[]; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const c = canvas.current!;
    const wide = rows[0]?.length ?? 1;
    c.width = wide;
    c.height = rows.length || 1;
    const all = rows.flatMap((r) => [...r]).sort((a, b) => a - b);
    const low = all[Math.floor(all.length * 0.1)] ?? -100;
    const high = all.at(-1) ?? 0;
    const image = new ImageData(c.width, c.height);
    rows.forEach((row, y) => row.forEach((v, i) => {
      const t = Math.max(0, Math.min(1, (v - low) / (high - low || 1)));
      image.data.set([255 * Math.min(1, 2 * t * t), 255 * t ** 1.5, 255 * (0.25 + 0.75 * Math.sin(Math.PI * t)), 255], 4 * (y * wide + i));
    }));
    c.getContext("2d")!.putImageData(image, 0, 0);
  }, [rows]);
  return <canvas class="waterfall" ref={canvas} role="img" aria-label={label} />;
}

// Samples shows bytes as samples. What they are is proposed by like; those of a file with a header are fixed.
function Samples({ bytes, what, like, fixed }: { bytes: Uint8Array<ArrayBuffer>; what: string; like: Recording; fixed: boolean }) {
  const [format, setFormat] = useState<Format>(like.format);
  const [rate, setRate] = useState(like.rate);
  const s = useMemo(() => samples(bytes, format), [bytes, format]);
  const n = Math.min(1024, 2 ** Math.floor(Math.log2(Math.max(2, s.re.length))));
  const complex = formats[format].complex;
  const wave = useMemo(() => {
    const most = Math.min(s.re.length, 65_536);
    const series: [string, Float32Array][] = [[complex ? "I" : "sample", s.re.subarray(0, most)]];
    if (complex) series.push(["Q", s.im.subarray(0, most)]);
    return { xs: Float32Array.from({ length: most }, (_, i) => (1000 * i) / rate), series };
  }, [s, rate]);
  const rows = useMemo(() => {
    const most = Math.max(1, Math.min(300, Math.floor(Math.min(s.re.length, shown * 4) / n)));
    const step = Math.max(n, Math.floor(s.re.length / most));
    const from = complex ? 0 : n / 2;
    return Array.from({ length: most }, (_, i) => power(s.re, s.im, i * step, n).subarray(from));
  }, [s, n]);
  const spectrum = useMemo(() => {
    const bins = rows[0]!.length;
    const mean = Float32Array.from({ length: bins }, (_, i) => rows.reduce((sum, r) => sum + r[i]!, 0) / rows.length);
    const xs = Float32Array.from({ length: bins }, (_, i) => ((complex ? i - n / 2 : i) * rate) / n / 1000);
    return { xs, series: [["power", mean]] as [string, Float32Array][] };
  }, [rows, rate]);
  const sound = useMemo(() => wav(s.re, rate), [s, rate]);
  const url = useBlob(sound, "audio/wav");
  return (
    <div>
      <div class="bar">
        <label>Format <select value={format} disabled={fixed} onChange={(e) => setFormat(e.currentTarget.value as Format)}>{Object.keys(formats).map((f) => <option key={f}>{f}</option>)}</select></label>
        <label>Rate in Hz <input type="number" min={1} max={1e9} value={rate} disabled={fixed} onChange={(e) => setRate(e.currentTarget.valueAsNumber || 1)} /></label>
        <span class="quiet">{s.re.length} samples</span>
      </div>
      {what === "audio" && <audio controls src={url} aria-label="Samples as sound" />}
      {(what === "waveform" || what === "audio") && <Plot {...wave} x="time in ms" y="amplitude" />}
      {what === "spectrum" && <Plot {...spectrum} x="frequency in kHz" y="power in dB" />}
      {what === "waterfall" && <Waterfall rows={rows} label="Waterfall: frequency from left to right, time downwards" />}
    </div>
  );
}

const views = ["text", "json", "hex", "image", "audio", "waveform", "spectrum", "waterfall"];

function firstView(f: Frame, type: string, like: Recording | undefined): string {
  if (f.encoding === "json") return "json";
  if (type.startsWith("image/")) return "image";
  if (type.startsWith("audio/")) return "audio";
  if (like && f.encoding === "base64") return formats[like.format].complex ? "waterfall" : "waveform";
  return f.encoding === "text" ? "text" : "hex";
}

// FrameView shows a frame. If it is samples, like says which.
export function FrameView({ frame, number, like }: { frame: Frame; number: string; like?: Recording | undefined }) {
  const bytes = useMemo(() => bytesOf(frame), [frame]);
  const type = typeOf(bytes);
  const file = useMemo(() => wavOf(bytes), [bytes]);
  const plain = type !== "audio/wav" || file;
  const [view, setView] = useState(firstView(frame, type, like));
  const url = useBlob(bytes, type || "application/octet-stream");
  const text = () => new TextDecoder().decode(bytes.subarray(0, shown));
  const json = (): unknown => {
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return "It is no JSON.";
    }
  };
  return (
    <article class="frame">
      <header class="bar">
        <h2>Frame {number} <span class="quiet">{size(bytes.length)}</span></h2>
        <label>as <select value={view} onChange={(e) => setView(e.currentTarget.value)}>{views.map((v) => <option key={v}>{v}</option>)}</select></label>
        <a class="button small" href={url} download={`frame-${number}`}>download</a>
      </header>
      {view === "text" && <pre tabIndex={0}>{bytes.length ? text() : <span class="quiet">no bytes</span>}</pre>}
      {view === "text" && bytes.length > shown && <p class="quiet">The first {size(shown)}; the download has all.</p>}
      {view === "json" && <div class="tree"><Tree value={json()} /></div>}
      {view === "hex" && <pre tabIndex={0}>{hex(bytes)}</pre>}
      {view === "image" && <img src={url} alt={`Frame ${number}`} />}
      {view === "audio" && !plain && <audio controls src={url} aria-label={`Frame ${number}`} />}
      {(["waveform", "spectrum", "waterfall"].includes(view) || (view === "audio" && plain)) && (
        <Samples bytes={file?.bytes ?? bytes} what={view} like={file ?? like ?? { format: "f32", rate: 48_000 }} fixed={file !== undefined} />
      )}
    </article>
  );
}
