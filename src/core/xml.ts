// The part of XML 1.0 that descriptors need: elements, attributes, text, CDATA, comments, the XML declaration, character references
// and the five predefined entities. Anything else (document types, other entities and processing instructions) is refused:
// nothing in a document can name a file or grow.

export interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly Element[];
  /** The character data directly inside, entities resolved, trimmed. */
  readonly text: string;
  /** Where its start tag begins: a character of the document. */
  readonly at: number;
}

export class XmlError extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.name = "XmlError";
    this.at = at;
  }
}

const DEEPEST = 64;
/** Elements and attributes in all: each takes a hundred times the memory of its shortest text. */
const MOST_NODES = 1 << 19;
const NO_ATTRIBUTES: ReadonlyMap<string, string> = new Map();
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", apos: "'", quot: '"' };
const SPACE = /[ \t\r\n]+/y;
const NAME = /[A-Za-z_:][\w:.-]*/y;
/** Also a plain word without quotes, which real descriptors have and no other reading is possible of. */
const VALUE = /"([^"<]*)"|'([^'<]*)'|([\w.:#-]+)/y;
const DECLARATION = /<\?xml[ \t\r\n][^?<>]*\?>/y;

/** The root element; throws `XmlError`. */
export function parseXml(text: string): Element {
  const reader = new Reader(text);
  reader.match(DECLARATION);
  reader.skipMisc();
  const root = reader.element(0);
  reader.skipMisc();
  if (reader.at < text.length) throw new XmlError("there is something behind the root element", reader.at);
  return root;
}

class Reader {
  at = 0;
  private readonly text: string;
  private nodes = 0;

  constructor(text: string) {
    this.text = text;
  }

  match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found !== null) this.at = pattern.lastIndex;
    return found;
  }

  /** White space and comments. */
  skipMisc(): void {
    do this.match(SPACE);
    while (this.skipComment());
  }

  private skipComment(): boolean {
    if (!this.text.startsWith("<!--", this.at)) return false;
    const end = this.text.indexOf("--", this.at + 4);
    if (end < 0 || this.text[end + 2] !== ">") throw new XmlError("a comment does not end", this.at);
    this.at = end + 3;
    return true;
  }

  element(depth: number): Element {
    const at = this.at;
    if (depth === DEEPEST) throw new XmlError(`elements are nested more than ${DEEPEST} deep`, at);
    this.take("<", "an element");
    this.count();
    const name = this.name();
    const attributes = this.attributes();
    if (this.text.startsWith("/>", this.at)) {
      this.at += 2;
      return { name, attributes, children: [], text: "", at };
    }
    this.take(">", `the end of <${name}>'s start tag`);
    const children: Element[] = [];
    let text = "";
    for (;;) {
      const next = this.text.indexOf("<", this.at);
      if (next < 0) throw new XmlError(`<${name}> is not closed`, at);
      text += this.resolve(this.text.slice(this.at, next), this.at);
      this.at = next;
      if (this.skipComment()) continue;
      if (this.text.startsWith("<![CDATA[", this.at)) {
        const end = this.text.indexOf("]]>", this.at);
        if (end < 0) throw new XmlError("a CDATA section does not end", this.at);
        text += this.text.slice(this.at + 9, end);
        this.at = end + 3;
        continue;
      }
      if (!this.text.startsWith("</", this.at)) {
        children.push(this.element(depth + 1));
        continue;
      }
      this.at += 2;
      const closed = this.name();
      if (closed !== name) throw new XmlError(`<${name}> is closed as </${closed}>`, next);
      this.match(SPACE);
      this.take(">", `the end of </${name}>`);
      return { name, attributes, children, text: text.trim(), at };
    }
  }

  private count(): void {
    if (++this.nodes > MOST_NODES) throw new XmlError(`there are more than ${MOST_NODES} elements and attributes`, this.at);
  }

  private attributes(): ReadonlyMap<string, string> {
    let attributes: Map<string, string> | null = null;
    while (this.match(SPACE) !== null) {
      const at = this.at;
      if (/[/>]/.test(this.text[at] ?? "")) break;
      this.count();
      attributes ??= new Map();
      const name = this.name();
      this.match(SPACE);
      this.take("=", `a value of ${name}`);
      this.match(SPACE);
      const value = this.match(VALUE);
      if (value === null) throw new XmlError(`${name} has no quoted value`, at);
      if (attributes.has(name)) throw new XmlError(`${name} is there twice`, at);
      attributes.set(name, this.resolve(value[1] ?? value[2] ?? value[3] ?? "", at));
    }
    return attributes ?? NO_ATTRIBUTES;
  }

  private name(): string {
    const found = this.match(NAME);
    if (found === null) throw new XmlError("a name is missing, or this part of XML is not read", this.at);
    return found[0];
  }

  private take(mark: string, what: string): void {
    if (!this.text.startsWith(mark, this.at)) throw new XmlError(`${what} was expected`, this.at);
    this.at += mark.length;
  }

  private resolve(text: string, at: number): string {
    return text.replace(/&([^;&]*;?)/g, (whole, name: string) => {
      const value = name.endsWith(";") ? (ENTITIES[name.slice(0, -1)] ?? characterOf(name.slice(0, -1))) : undefined;
      if (value === undefined) throw new XmlError(`${whole.slice(0, 20)} is neither a character nor one of the five entities of XML`, at);
      return value;
    });
  }
}

/** `#233` and `#xe9` are é. */
function characterOf(name: string): string | undefined {
  const digits = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name);
  if (digits === null) return undefined;
  const code = digits[1] === undefined ? Number(digits[2]) : Number.parseInt(digits[1], 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}

/** The name without its namespace prefix. */
export const localName = (name: string): string => name.slice(name.indexOf(":") + 1);

/** Every element below `root` (and `root`) with this local name, in document order. */
export function* elementsNamed(root: Element, name: string): Generator<Element> {
  if (localName(root.name) === name) yield root;
  for (const child of root.children) yield* elementsNamed(child, name);
}

/** The first child with this local name. */
export const childNamed = (element: Element, name: string): Element | undefined =>
  element.children.find((child) => localName(child.name) === name);

/** The value of the attribute with this local name. */
export function attributeOf(element: Element, name: string): string | undefined {
  for (const [key, value] of element.attributes) if (localName(key) === name) return value;
  return undefined;
}

/** `text` as character data or as an attribute's value; control characters, which XML cannot carry, become spaces. */
export const escapeXml = (text: string): string =>
  text.replace(/\p{Cc}/gu, " ").replace(/[<>&'"]/g, (mark) => `&${Object.keys(ENTITIES).find((name) => ENTITIES[name] === mark)};`);
