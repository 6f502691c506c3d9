/** Numbers as people read them. The page is in English, so are its numbers. */
const LOCALE = "en";
const NBSP = "\u00a0";

const BINARY_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
const precise = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const percents = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 });
const moments = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });

/** 42949672960 → "40 GiB" */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  // 1023.5 KiB would print as "1,024 KiB": the next unit is taken a little early.
  while (value >= 999.5 && unit < BINARY_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  if (unit === 0) return count === 1 ? `1${NBSP}byte` : whole.format(count) + NBSP + BINARY_UNITS[0];
  return precise.format(value) + NBSP + BINARY_UNITS[unit];
}

const SIZE = /^([\d.,]+)\s*([a-z]*)$/i;
const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  byte: 1,
  bytes: 1,
  ...Object.fromEntries(
    ["k", "m", "g", "t", "p"].flatMap((letter, i) => [
      [letter, 1024 ** (i + 1)],
      [`${letter}ib`, 1024 ** (i + 1)],
      [`${letter}b`, 1000 ** (i + 1)],
    ]),
  ),
};

/** "8 GiB", "8G" → 8589934592; "8 GB" → 8000000000; "512" → 512. Null: this is no whole number of bytes. */
export function parseSize(text: string): number | null {
  const [, digits = "", unit = ""] = SIZE.exec(text.trim()) ?? [];
  const number = /^\d{1,3}(,\d{3})+(\.\d+)?$/.test(digits) ? digits.replaceAll(",", "") : digits;
  const factor = UNITS[unit.toLowerCase()];
  if (factor === undefined || !/^\d+(\.\d+)?$/.test(number)) return null;
  const bytes = Number(number) * factor;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** The messages of the parts below count in bytes: here stand sizes that can be read, where that loses nothing. Places stay as they are. */
export function readable(text: string): string {
  const words = (all: string, before: string, digits: string): string => {
    const size = typedSize(Number(digits));
    return /bytes?$/.test(size) ? all : before + size.replace(" ", NBSP);
  };
  return text
    .replace(/\b(from )(\d{4,})(?= to \d+ bytes)/g, words)
    .replace(/\b(instead of )(\d{4,})\b(?! bytes)/g, words)
    .replace(/()\b(\d{4,}) bytes\b/g, words);
}

/** Above it a smaller unit says no more than the number of bytes. */
const MOST_OF_A_UNIT = 1e5;

/** A size that can be typed in again without loss: "2 GiB", "6.5 MiB", "1234567 bytes". */
export function typedSize(count: number): string {
  for (let unit = BINARY_UNITS.length - 1; unit > 0; unit--) {
    const value = count / 1024 ** unit;
    const text = String(Number(value.toFixed(3)));
    if (value >= 1 && value < MOST_OF_A_UNIT && Number(text) * 1024 ** unit === count) return `${text} ${BINARY_UNITS[unit]}`;
  }
  return `${count} ${count === 1 ? "byte" : "bytes"}`;
}

/** 42949672960 → "42,949,672,960 bytes" */
export function exactBytes(count: number): string {
  return `${whole.format(count)}${NBSP}${count === 1 ? "byte" : "bytes"}`;
}

/** A place in a file or on a disk, as the error messages and hex editors have it: 65536 → "0x10000" */
export function offset(at: number): string {
  return `0x${at.toString(16)}`;
}

/** Bytes per second, in the drives' unit: 312000000 → "312 MB/s" */
export function rate(bytesPerSecond: number): string {
  return `${precise.format(bytesPerSecond / 1e6)}${NBSP}MB/s`;
}

/** 200 → "3 min 20 s"; from an hour on without seconds, from ten minutes on in whole minutes. */
export function duration(seconds: number): string {
  const total = Math.max(1, Math.round(seconds));
  if (total < 60) return `${total}${NBSP}s`;
  const minutes = Math.floor(total / 60);
  const rest = total % 60;
  if (minutes < 10) return rest === 0 ? `${minutes}${NBSP}min` : `${minutes}${NBSP}min ${rest}${NBSP}s`;
  const rounded = Math.round(total / 60);
  if (rounded < 60) return `${rounded}${NBSP}min`;
  const hours = Math.floor(rounded / 60);
  return rounded % 60 === 0 ? `${hours}${NBSP}h` : `${hours}${NBSP}h ${rounded % 60}${NBSP}min`;
}

/** Whole percent, rounded down: 100 only when everything is done. Nothing to do counts as done. */
export function percent(done: number, total: number): number {
  if (total <= 0) return 100;
  return Math.max(0, Math.min(100, Math.floor((done / total) * 100)));
}

/** 0.125 → "13%" */
export function share(part: number): string {
  return percents.format(part);
}

/** 21.4 → "21" */
export function times(factor: number): string {
  return factor < 10 ? precise.format(Math.round(factor * 10) / 10) : whole.format(factor);
}

/** Milliseconds since 1970 → "Nov 21, 2026, 2:02 PM" */
export function moment(milliseconds: number): string {
  return moments.format(milliseconds);
}

/** 1, "disk" → "1 disk"; 3, "disk" → "3 disks" */
export function count(n: number, noun: string): string {
  return `${whole.format(n)} ${noun}${n === 1 ? "" : "s"}`;
}
