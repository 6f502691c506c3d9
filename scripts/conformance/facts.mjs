/** What two programs say about one image, as JSON: the same names and values where both have them. */

/** Fields that must be there when qemu-img has them. */
const REQUIRED = [
  "virtual-size",
  "format",
  "cluster-size",
  "dirty-flag",
  "snapshots",
  "backing-filename",
  "backing-filename-format",
  "format-specific",
];
/** Blocks on the disk may be counted before or after the file system has settled. */
const ALLOCATION_SLACK = 1 << 16;

export function infoFaults(ours, theirs) {
  const faults = REQUIRED.filter((name) => name in theirs && !(name in ours)).map(
    (name) => `info has no ${name} (${JSON.stringify(theirs[name])})`,
  );
  return [...faults, ...differences(ours, theirs, "info")];
}

function differences(ours, theirs, path) {
  if (path === "info actual-size") return Math.abs(ours - theirs) <= ALLOCATION_SLACK ? [] : [`${path} is ${ours}, not ${theirs}`];
  // qemu-img leaves the format of an extent empty where no descriptor names it.
  if (theirs === "") return [];
  // qemu-img states the paths of extents, Spindle their names.
  if (/filename$/.test(path) && String(theirs).endsWith(`/${ours}`)) return [];
  if (isObject(ours) && isObject(theirs)) {
    const shared = Object.keys(ours).filter((name) => name in theirs);
    return shared.flatMap((name) => differences(ours[name], theirs[name], `${path} ${name}`));
  }
  if (Array.isArray(ours) && Array.isArray(theirs) && ours.length === theirs.length)
    return ours.flatMap((item, i) => differences(item, theirs[i], `${path}[${i}]`));
  const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)];
  return a === b ? [] : [`${path} is ${a}, not ${b}`];
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Each fact of `qemu-img check` that both state; absent counts are zero there. */
export function checkFaults(ours, theirs) {
  const names = ["image-end-offset", "total-clusters", "allocated-clusters", "compressed-clusters", "corruptions", "leaks", "check-errors"];
  return names
    .filter((name) => name in ours && (name in theirs || ["corruptions", "leaks", "check-errors"].includes(name)))
    .filter((name) => ours[name] !== (theirs[name] ?? 0))
    .map((name) => `check ${name} is ${ours[name]}, not ${theirs[name] ?? 0}`);
}

/**
 * `holesInData`: qemu-img also looks into the file system for the holes of plainly stored data and calls them zero; what it calls
 * zero there may be data for us. `freeIsPresent`: its VDI and VHD drivers call blocks that were never written present; for us
 * no file holds them. `tellsNoHoles`: a driver that knows nothing of holes calls the whole disk data.
 */
export function mapFaults(ourMap, theirMap, { holesInData, freeIsPresent, tellsNoHoles }) {
  const [a, b] = [ourMap, theirMap].map((map) => joined(freeIsPresent ? map.map((entry) => ({ ...entry, present: true })) : map));
  const ends = [a, b].map((list) => (list.length === 0 ? 0 : list.at(-1).end));
  if (ends[0] !== ends[1]) return [`map ends at ${ends[0]}, not ${ends[1]}`];
  if (tellsNoHoles) return [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [ours, theirs] = [a[i], b[j]];
    const alike = ours.kind === theirs.kind || (holesInData && ours.data && theirs.zero);
    if (!alike) return [`map at ${Math.max(ours.start, theirs.start)} is ${ours.kind}, not ${theirs.kind}`];
    if (ours.end <= theirs.end) i++;
    if (theirs.end <= ours.end) j++;
  }
  return [];
}

/** Runs that follow each other without a gap, with neighbours of one kind joined. */
function joined(entries) {
  const runs = [];
  for (const { start, length, zero, data, present } of entries) {
    const kind = `${present ? "present" : "absent"}${zero ? " zero" : ""}${data ? " data" : ""}`;
    const last = runs.at(-1);
    if (start !== (last?.end ?? 0)) throw new Error(`the map has a gap or an overlap at ${start}`);
    if (last?.kind === kind) last.end += length;
    else runs.push({ start, end: start + length, kind, zero, data });
  }
  return runs;
}
