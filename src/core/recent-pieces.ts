/** Pieces of a table that is read on demand, by number: the latest ones asked for are kept. */
export class RecentPieces<T> {
  private readonly most: number;
  private readonly pieces = new Map<number, Promise<T>>();

  constructor(most: number) {
    this.most = most;
  }

  /** The piece, read by `load` unless it is kept. Asked for twice at a time it is read once; one that fails is read anew the next time. */
  get(number: number, load: () => Promise<T>): Promise<T> {
    const kept = this.pieces.get(number);
    const piece = kept ?? load();
    // Last in the map's order: the first is the one that was not asked for the longest.
    this.pieces.delete(number);
    this.pieces.set(number, piece);
    if (kept !== undefined) return kept;
    piece.catch(() => {
      if (this.pieces.get(number) === piece) this.pieces.delete(number);
    });
    const [oldest] = this.pieces.keys();
    if (this.pieces.size > this.most && oldest !== undefined) this.pieces.delete(oldest);
    return piece;
  }
}
