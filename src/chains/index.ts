export { type ChainSearch, findChains, type Member, MOST_LAYERS } from "./find-chains.ts";
export type { GivenFile } from "./given-files.ts";
export { fitOf, isNamedById, isWeak, mismatchText, withIdentity } from "./identity.ts";
export type { ChainProblem } from "./problems.ts";
