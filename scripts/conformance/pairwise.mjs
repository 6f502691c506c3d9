/**
 * Few combinations in which every two values of every two factors meet (where `allowed` lets them), instead of the whole product.
 * Greedy and deterministic.
 */
export function pairwise(factors, allowed = () => true) {
  const names = Object.keys(factors);
  const candidates = product(factors).filter(allowed);
  if (names.length === 1) return candidates;
  const pairsOf = (row) => names.flatMap((a, i) => names.slice(i + 1).map((b) => `${a}=${row[a]}&${b}=${row[b]}`));
  const pairs = candidates.map(pairsOf);
  const open = new Set(pairs.flat());
  const chosen = [];
  while (open.size > 0) {
    let best = 0;
    let most = 0;
    for (const [i, list] of pairs.entries()) {
      const news = list.reduce((sum, pair) => sum + (open.has(pair) ? 1 : 0), 0);
      if (news > most) [best, most] = [i, news];
    }
    for (const pair of pairs[best]) open.delete(pair);
    chosen.push(candidates[best]);
  }
  return chosen;
}

function product(factors) {
  return Object.entries(factors).reduce(
    (rows, [name, values]) => rows.flatMap((row) => values.map((value) => ({ ...row, [name]: value }))),
    [{}],
  );
}
