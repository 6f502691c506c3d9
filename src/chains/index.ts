export type { DescribedDisk } from "./description.ts";
export { type Chain, type ChainSearch, findChains, type Member, MOST_LAYERS } from "./find-chains.ts";
export type { GivenFile } from "./given-files.ts";
export { type Fit, fitOf, isNamedById, isWeak, mismatchText, withIdentity } from "./identity.ts";
export type { Machine, MachineDisk } from "./machines.ts";
export type { ChainProblem, ProblemKind } from "./problems.ts";
