import type { PartitionCard } from "../workers/engine-api.ts";
import { bytes, offset } from "./quantities.ts";

type Partition = PartitionCard["entries"][number];

/** The partitions as a bar in proportion, and as a list. */
export function Partitions({ table, size, name }: { readonly table: PartitionCard; readonly size: number; readonly name: string }) {
  const heading = table.kind === "none" ? "One file system, no partition table" : `${table.kind} partition table`;
  return (
    <section class="partitions" aria-label={`Partitions of ${name}`}>
      <h3>{heading}</h3>
      {table.entries.length > 0 && (
        <>
          <svg class="bar" role="img" aria-label={`${heading}: ${table.entries.map(label).join(", ")}`}>
            {table.entries.map((partition, i) => (
              <svg key={partition.start} x={part(partition.start, size)} width={part(partition.length, size)} height="100%">
                <title>{`${label(partition)}, ${bytes(partition.length)}`}</title>
                <rect class={`part part-${i % 4}`} width="100%" height="100%" />
                {partition.length / size > 0.12 && (
                  <text x="8" y="50%" dominant-baseline="central">
                    {label(partition)}
                  </text>
                )}
              </svg>
            ))}
          </svg>
          <ol>
            {table.entries.map((partition) => (
              <li key={partition.start}>
                <b>{label(partition)}</b> {describe(partition)}
                <span class="number">
                  {bytes(partition.length)} at {offset(partition.start)}
                </span>
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  );
}

function label(partition: Partition): string {
  return partition.name === "" ? (partition.fileSystem ?? partition.type) : partition.name;
}

function describe(partition: Partition): string {
  const facts = partition.name === "" ? [partition.type] : [partition.fileSystem, partition.type];
  return facts.filter((fact) => fact !== null && fact !== label(partition)).join(", ");
}

function part(amount: number, size: number): string {
  return `${size === 0 ? 0 : (amount / size) * 100}%`;
}
