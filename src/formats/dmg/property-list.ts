import { DiskError } from "../../core/errors.ts";
import { decodeBase64 } from "./base64.ts";

/** A value of a property list; integers, dates and the like stay text. `at` is the value's place in the file. */
export type PropertyValue =
  | { readonly kind: "dict"; readonly at: number; readonly entries: ReadonlyMap<string, PropertyValue> }
  | { readonly kind: "array"; readonly at: number; readonly items: readonly PropertyValue[] }
  | { readonly kind: "data"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "text"; readonly at: number; readonly text: string };

const MOST_NESTED = 32;
/** Values of one list; an image with a terabyte in tables of its own per partition has a few dozen. */
const MOST_VALUES = 1 << 16;
/** Text other than `data`. */
const MOST_TEXT = 1 << 16;
const LT = 0x3c;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
const SCALARS: readonly string[] = ["string", "integer", "real", "date"];

/**
 * Apple's XML property list, from UTF-8 bytes that lie at `place` of the file: dictionaries, arrays, data and text. It is not an XML
 * parser: no entities but the five of XML and character references, no CDATA, no attributes that mean anything.
 */
export function readPropertyList(xml: Uint8Array, file: string, place: number): PropertyValue {
  return new Reader(xml, file, place).document();
}

class Reader {
  readonly #xml: Uint8Array;
  readonly #file: string;
  readonly #place: number;
  #at = 0;
  #values = 0;

  constructor(xml: Uint8Array, file: string, place: number) {
    this.#xml = xml;
    this.#file = file;
    this.#place = place;
  }

  document(): PropertyValue {
    if (this.#tag() !== "plist") throw this.#refuse("does not begin with <plist>");
    const value = this.#value(this.#tag(), 0);
    if (this.#tag() !== "/plist") throw this.#refuse("does not end with </plist>");
    return value;
  }

  #value(tag: string, depth: number): PropertyValue {
    const at = this.#place + this.#at;
    if (depth > MOST_NESTED) throw this.#refuse(`is nested more than ${MOST_NESTED} deep`);
    if (++this.#values > MOST_VALUES) throw this.#refuse(`holds more than ${MOST_VALUES} values`);
    if (tag === "dict") return { kind: "dict", at, entries: this.#entries(depth) };
    if (tag === "dict/") return { kind: "dict", at, entries: new Map() };
    if (tag === "array") return { kind: "array", at, items: this.#items(depth) };
    if (tag === "array/") return { kind: "array", at, items: [] };
    if (tag === "true/" || tag === "false/") return { kind: "text", at, text: tag.slice(0, -1) };
    if (tag === "data/") return { kind: "data", at, bytes: new Uint8Array(0) };
    if (tag === "data") return { kind: "data", at, bytes: decodeBase64(this.#content(tag), this.#file, at) };
    if (SCALARS.includes(tag)) return { kind: "text", at, text: this.#text(tag) };
    if (tag.endsWith("/") && SCALARS.includes(tag.slice(0, -1))) return { kind: "text", at, text: "" };
    throw this.#refuse(`holds <${tag}> where a value is expected`);
  }

  #entries(depth: number): Map<string, PropertyValue> {
    const entries = new Map<string, PropertyValue>();
    for (let tag = this.#tag(); tag !== "/dict"; tag = this.#tag()) {
      if (tag !== "key") throw this.#refuse(`holds <${tag}> where a key is expected`);
      const key = this.#text(tag);
      if (entries.has(key)) throw this.#refuse(`holds the key "${key}" twice`);
      entries.set(key, this.#value(this.#tag(), depth + 1));
    }
    return entries;
  }

  #items(depth: number): PropertyValue[] {
    const items: PropertyValue[] = [];
    for (let tag = this.#tag(); tag !== "/array"; tag = this.#tag()) items.push(this.#value(tag, depth + 1));
    return items;
  }

  /** The name of the next tag, with its slash; declarations and comments are passed over, text between tags is not. */
  #tag(): string {
    for (;;) {
      while (isSpace(this.#xml[this.#at])) this.#at++;
      if (this.#xml[this.#at] !== LT) throw this.#refuse(this.#at < this.#xml.length ? "holds text between its values" : "ends too soon");
      const first = this.#xml[this.#at + 1];
      const isComment = first === 0x21 && this.#xml[this.#at + 2] === 0x2d && this.#xml[this.#at + 3] === 0x2d;
      const end = isComment ? this.#find("-->") + 2 : this.#find(">");
      const start = this.#at + 1;
      this.#at = end + 1;
      if (first === 0x21 || first === 0x3f) continue;
      const body = latin(this.#xml.subarray(start, Math.min(end, start + 256)));
      const match = /^(\/?[A-Za-z]+)(?:\s[^/]*)?\s*(\/?)$/.exec(body);
      if (match === null) throw this.#refuse(`holds the tag <${body.slice(0, 40)}>`);
      return `${match[1]}${match[2]}`;
    }
  }

  /** What stands before the end of an element without elements inside; moves past its end. */
  #content(tag: string): Uint8Array {
    const start = this.#at;
    const end = this.#xml.indexOf(LT, start);
    const content = this.#xml.subarray(start, end < 0 ? this.#xml.length : end);
    this.#at = start + content.length;
    if (this.#tag() !== `/${tag}`) throw this.#refuse(`has something in <${tag}> that does not belong there`);
    return content;
  }

  #text(tag: string): string {
    const content = this.#content(tag);
    if (content.length > MOST_TEXT) throw this.#refuse(`has ${content.length} bytes in one <${tag}>`);
    return new TextDecoder().decode(content).replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|([a-z]+));/g, (all, decimal, hex, name) => {
      const code = name === undefined ? Number.parseInt(decimal ?? hex, decimal === undefined ? 16 : 10) : 0;
      return name === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : all) : (ENTITIES[name] ?? all);
    });
  }

  #find(text: string): number {
    const first = text.charCodeAt(0);
    for (let at = this.#xml.indexOf(first, this.#at); at >= 0; at = this.#xml.indexOf(first, at + 1))
      if (latin(this.#xml.subarray(at, at + text.length)) === text) return at;
    throw this.#refuse(`has no "${text}" after a "<"`);
  }

  #refuse(why: string): DiskError {
    return new DiskError("corrupt", `dmg: plist ${why}`, { file: this.#file, at: this.#place + Math.min(this.#at, this.#xml.length) });
  }
}

const isSpace = (code: number | undefined): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
