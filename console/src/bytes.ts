// Bytes and numbers as people read them, and what frames hold.
import type { Frame } from "./api";

export function bytesOf(f: Frame): Uint8Array<ArrayBuffer> {
  if (f.encoding === "base64") {
    const text = atob(String(f.data));
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  return new TextEncoder().encode(f.encoding === "text" ? String(f.data) : JSON.stringify(f.data));
}

export function size(n: number): string {
  if (n < 1000) return `${n} B`;
  for (const unit of ["kB", "MB", "GB"]) {
    n /= 1000;
    if (n < 999.5 || unit === "GB") return `${n.toPrecision(3)} ${unit}`;
  }
  return "";
}

export function time(ms: number | undefined): string {
  if (ms === undefined) return "–";
  if (ms === 0) return "0 ms";
  if (ms < 1000) return `${ms < 10 ? ms.toPrecision(2) : Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toPrecision(3)} s` : `${Math.round(ms / 60_000)} min`;
}

export const clock = (when: string) => new Date(when).toLocaleTimeString("en-GB");

export function hex(bytes: Uint8Array, most = 4096): string {
  const lines: string[] = [];
  for (let i = 0; i < Math.min(bytes.length, most); i += 16) {
    const row = [...bytes.subarray(i, i + 16)];
    const digits = row.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${i.toString(16).padStart(8, "0")}  ${digits}  ${row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : ".")).join("")}`);
  }
  if (bytes.length > most) lines.push(`… ${size(bytes.length - most)} more`);
  return lines.join("\n");
}

const magic: [string, number[]][] = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47]], ["image/jpeg", [0xff, 0xd8, 0xff]], ["image/gif", [0x47, 0x49, 0x46, 0x38]],
  ["audio/wav", [0x52, 0x49, 0x46, 0x46]],
];

export function typeOf(bytes: Uint8Array): string {
  return magic.find(([, start]) => start.every((b, i) => bytes[i] === b))?.[0] ?? "";
}

// Formats of samples: how many bytes each number has, whether two make one complex sample, and how it is read.
export const formats = {
  f32: { bytes: 4, complex: false, read: (v: DataView, i: number) => v.getFloat32(i, true) },
  cf32: { bytes: 4, complex: true, read: (v: DataView, i: number) => v.getFloat32(i, true) },
  s16: { bytes: 2, complex: false, read: (v: DataView, i: number) => v.getInt16(i, true) / 32768 },
  cs16: { bytes: 2, complex: true, read: (v: DataView, i: number) => v.getInt16(i, true) / 32768 },
  cu8: { bytes: 1, complex: true, read: (v: DataView, i: number) => (v.getUint8(i) - 127.5) / 127.5 },
};
export type Format = keyof typeof formats;

// A Recording says what samples are: their format and how many come in a second.
export interface Recording { format: Format; rate: number }

// declared reads it from a service's content_type, such as application/x-iq; format=cu8; rate=24000.
export function declared(contentType = ""): Recording | undefined {
  const value = (name: string) => new RegExp(`;\\s*${name}="?([a-z0-9]+)"?\\s*(;|$)`, "i").exec(contentType)?.[1]?.toLowerCase() ?? "";
  const format = value("format");
  const rate = Number(value("rate"));
  return Object.hasOwn(formats, format) && rate >= 1 && rate <= 1e9 ? { format: format as Format, rate } : undefined;
}

// wavOf returns the samples of a WAV file of one channel of 16 bits (RIFF: chunks of a name, a length, and that many bytes).
export function wavOf(file: Uint8Array<ArrayBuffer>): (Recording & { bytes: Uint8Array<ArrayBuffer> }) | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const name = (i: number) => String.fromCharCode(...file.subarray(i, i + 4));
  if (name(0) !== "RIFF" || name(8) !== "WAVE") return undefined;
  let rate = 0;
  for (let i = 12; i + 8 <= file.length; i += 8 + view.getUint32(i + 4, true) + (view.getUint32(i + 4, true) % 2)) {
    const length = view.getUint32(i + 4, true);
    if (name(i) === "data") return rate ? { format: "s16", rate, bytes: file.subarray(i + 8, i + 8 + length) } : undefined;
    if (name(i) !== "fmt " || i + 24 > file.length) continue;
    if (view.getUint16(i + 8, true) !== 1 || view.getUint16(i + 10, true) !== 1 || view.getUint16(i + 22, true) !== 16) return undefined;
    rate = view.getUint32(i + 12, true);
  }
  return undefined;
}

// samples returns the real and imaginary parts.
export function samples(bytes: Uint8Array, format: Format): { re: Float32Array; im: Float32Array } {
  const f = formats[format];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const step = f.bytes * (f.complex ? 2 : 1);
  const n = Math.floor(bytes.length / step);
  const re = new Float32Array(n);
  const im = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    re[i] = f.read(view, i * step);
    if (f.complex) im[i] = f.read(view, i * step + f.bytes);
  }
  return { re, im };
}

// fft transforms in place; the length is a power of two.
export function fft(re: Float32Array, im: Float32Array) {
  const n = re.length;
  const swap = (a: Float32Array, i: number, j: number) => ([a[i], a[j]] = [a[j]!, a[i]!]);
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      swap(re, i, j);
      swap(im, i, j);
    }
  }
  for (let len = 2; len <= n; len <<= 1) {
    for (let k = 0; k < len / 2; k++) {
      const c = Math.cos((-2 * Math.PI * k) / len);
      const s = Math.sin((-2 * Math.PI * k) / len);
      for (let i = k; i < n; i += len) {
        const j = i + len / 2;
        const x = re[j]! * c - im[j]! * s;
        const y = re[j]! * s + im[j]! * c;
        re[j] = re[i]! - x;
        im[j] = im[i]! - y;
        re[i]! += x;
        im[i]! += y;
      }
    }
  }
}

// power returns the spectrum of n samples from start on, in dB, Hann-windowed, the lowest frequency first.
export function power(re: Float32Array, im: Float32Array, start: number, n: number): Float32Array {
  const a = new Float32Array(n);
  const b = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const w = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n);
    a[i] = (re[start + i] ?? 0) * w;
    b[i] = (im[start + i] ?? 0) * w;
  }
  fft(a, b);
  return a.map((_, i) => {
    const k = (i + n / 2) % n;
    return 10 * Math.log10((a[k]! ** 2 + b[k]! ** 2) / (n * n) + 1e-14);
  });
}

// wav makes a file of one channel from samples.
export function wav(re: Float32Array, rate: number): Blob {
  const head = new DataView(new ArrayBuffer(44));
  const text = (i: number, s: string) => [...s].forEach((c, k) => head.setUint8(i + k, c.charCodeAt(0)));
  text(0, "RIFF"); head.setUint32(4, 36 + re.length * 2, true); text(8, "WAVEfmt ");
  head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, 1, true);
  head.setUint32(24, rate, true); head.setUint32(28, rate * 2, true); head.setUint16(32, 2, true); head.setUint16(34, 16, true);
  text(36, "data"); head.setUint32(40, re.length * 2, true);
  const pcm = Int16Array.from(re, (x) => Math.max(-1, Math.min(1, x)) * 32767);
  return new Blob([head.buffer, pcm], { type: "audio/wav" });
}
