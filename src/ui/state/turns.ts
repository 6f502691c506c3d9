/** Jobs of which one may read and write at a time, and `most` be at work: what lets the next one begin lies behind `passOn`. */
export interface Turns<T> {
  /**
   * Does the work when it is its turn: after all before it have passed on or ended, when fewer than `most` of them are left, and none of
   * those is in its way. Resolves with the end of the work, which must not reject.
   */
  take(item: T, work: (passOn: () => void) => Promise<void>): Promise<void>;
}

interface Turn<T> {
  readonly item: T;
  readonly passedOn: Promise<void>;
  ended: Promise<void>;
}

export function createTurns<T>(most: number, areInTheWay: (item: T, earlier: T) => Promise<boolean>): Turns<T> {
  const turns = new Set<Turn<T>>();
  return {
    take(item, work) {
      const before = [...turns];
      const left = (): readonly Turn<T>[] => before.filter((turn) => turns.has(turn));
      let passOn = (): void => {};
      const passedOn = new Promise<void>((resolve) => {
        passOn = resolve;
      });
      const wait = async (): Promise<void> => {
        await before.at(-1)?.passedOn;
        while (left().length >= most) await Promise.race(left().map(({ ended }) => ended));
        for (const { item: earlier, ended } of left()) if (await areInTheWay(item, earlier)) await ended;
      };
      const turn: Turn<T> = { item, passedOn, ended: Promise.resolve() };
      turn.ended = wait()
        .then(() => work(passOn))
        .finally(() => {
          turns.delete(turn);
          passOn();
        });
      turns.add(turn);
      return turn.ended;
    },
  };
}
