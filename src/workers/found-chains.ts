import { type ChainProblem, type ChainSearch, findChains, type Member } from "../chains/index.ts";
import type { OpenContext } from "../core/model.ts";
import { DISK_FORMATS } from "../formats/registry.ts";
import { fileSource } from "../platform/browser/file-source.ts";
import type { FoundCard, GivenCard, LayerCard, TreeCard } from "./engine-api.ts";

export interface Found {
  readonly search: ChainSearch;
  readonly card: Omit<FoundCard, "search">;
}

/** Puts the images among the given files in order, and tells it as plain data. */
export async function findAmong(given: readonly GivenCard[], context: Omit<OpenContext, "resolve">): Promise<Found> {
  const files = given.map(({ file, path }) => ({ source: fileSource(file), path, modified: file.lastModified / 1000 }));
  const search = await findChains(files, context);
  const numbers = new Map(files.map(({ source }, i) => [source, i]));
  const numberOf = ({ source }: Member): number => numbers.get(source) as number;
  const used = new Set(search.members.map(numberOf));
  const numbersAt = (paths: readonly string[]): number[] =>
    files.flatMap(({ path }, i) => (paths.includes(path) && !used.has(i) ? [i] : []));
  const { trees, single } = treesOf(search, numberOf);
  const alone = [...single.map(numberOf), ...numbersAt(search.failures.map(({ path }) => path))];
  return { search, card: { trees, alone: [...new Set(alone)].sort((a, b) => a - b), others: numbersAt(search.others) } };
}

/** Every group of images that are linked; `single`: those that lie over nothing and under nothing. */
function treesOf(search: ChainSearch, numberOf: (member: Member) => number): { trees: TreeCard[]; single: Member[] } {
  const groups = new Map<number, Member[]>();
  for (const member of search.members) {
    const root = rootOf(member, search.members);
    groups.set(root, [...(groups.get(root) ?? []), member]);
  }
  const single: Member[] = [];
  const trees: TreeCard[] = [];
  for (const [root, group] of groups) {
    const [first] = group as [Member];
    if (group.length === 1 && first.problems.every(({ severity }) => severity === "note")) single.push(first);
    else trees.push(treeOf(search, root, group, numberOf));
  }
  return { trees, single };
}

/** The base; of a ring its lowest number. */
function rootOf({ id }: Member, members: readonly Member[]): number {
  const path: number[] = [];
  let at = id;
  for (;;) {
    path.push(at);
    const { parent } = members[at] as Member;
    if (parent === null) return at;
    if (path.includes(parent)) return Math.min(...path.slice(path.indexOf(parent)));
    at = parent;
  }
}

function treeOf(search: ChainSearch, root: number, group: readonly Member[], numberOf: (member: Member) => number): TreeCard {
  const ids = new Set(group.map(({ id }) => id));
  const chains = search.chains.filter(({ members: [top] }) => ids.has(top as number));
  const inUse = chains.find(({ usedBy }) => usedBy.length > 0);
  const latest = chains.toSorted((a, b) => modifiedOf(search, b.members) - modifiedOf(search, a.members))[0];
  const current = ((inUse ?? latest)?.members[0] ?? root) as number;
  const ownProblems = new Set(group.flatMap(({ problems }) => problems));
  const users = new Set(
    search.machines.filter(({ disks }) => disks.some(({ member }) => member !== null && ids.has(member))).map(({ file }) => file),
  );
  const isAlone = search.members.length === group.length;
  const problems: ChainProblem[] = [
    ...chains.flatMap((chain) => chain.problems.filter((problem) => !ownProblems.has(problem))),
    ...search.problems.filter(({ file }) => isAlone || users.has(file)),
  ];
  const usedBy = (id: number) => chains.find(({ members: [top] }) => top === id)?.usedBy ?? [];
  const order = inOrder(search.members, root, current).filter((id) => ids.has(id));
  const layers = order.map((id) => layerOf(search.members[id] as Member, numberOf, usedBy(id)));
  return { layers, current, problems };
}

const modifiedOf = ({ members }: ChainSearch, [top]: readonly number[]): number => (members[top as number] as Member).modified ?? 0;

/** From the base on, every branch to its end, the one to `current` first. */
function inOrder(members: readonly Member[], root: number, current: number): number[] {
  const toCurrent = new Set<number>();
  for (let at: number | null = current; at !== null && !toCurrent.has(at); at = (members[at] as Member).parent) toCurrent.add(at);
  const order: number[] = [];
  const waiting = [root];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (order.includes(id)) continue;
    order.push(id);
    const { children } = members[id] as Member;
    waiting.push(...children.toSorted((a, b) => Number(toCurrent.has(a)) - Number(toCurrent.has(b)) || b - a));
  }
  return order;
}

function layerOf(member: Member, numberOf: (member: Member) => number, usedBy: LayerCard["usedBy"]): LayerCard {
  const { id, parent, source, path, volume, modified, labels, problems } = member;
  return {
    id,
    parent,
    file: numberOf(member),
    name: source.name,
    path,
    label: DISK_FORMATS.find((format) => format.id === volume.format)?.label ?? volume.format,
    variant: volume.variant,
    size: volume.size,
    modified,
    points: labels,
    usedBy,
    problems,
  };
}
