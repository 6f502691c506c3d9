import type { CheckReport, Finding, Range } from "./model.ts";

const MOST_FINDINGS = 1000;

/** What a check counts and finds. Every finding is counted; the list of them is bounded. Offsets are bytes of the file. */
export class CheckTally {
  corruptions = 0;
  leaks = 0;
  allocatedClusters = 0;
  totalClusters = 0;
  compressedClusters = 0;
  fragmentedClusters = 0;
  imageEndOffset = 0;
  private readonly findings: Finding[] = [];

  corruption(text: string, at: number | null, guest: Range | null = null): void {
    this.corruptions++;
    this.list({ severity: "corruption", text, at, guest });
  }

  /** `units`: how many blocks (clusters, grains) nothing uses. */
  leak(text: string, at: number | null, units = 1): void {
    this.leaks += units;
    this.list({ severity: "leak", text, at, guest: null });
  }

  warning(text: string, at: number | null = null, guest: Range | null = null): void {
    this.list({ severity: "warning", text, at, guest });
  }

  /** Stretches of units that nothing uses. Unit 0 lies at `base`; they are `stride` bytes apart. */
  unused(gaps: Iterable<Range>, base: number, stride: number, unit: "block" | "cluster"): void {
    for (const { start, length } of gaps) {
      const at = base + start * stride;
      this.leak(length === 1 ? `the ${unit} at byte ${at} is not used` : `${length} ${unit}s from byte ${at} on are not used`, at, length);
    }
  }

  /** What the check of another file came to, from whose beginning on the disk is read at `start`. Its `imageEndOffset` is its own. */
  include(report: CheckReport, name: string, start: number): void {
    this.corruptions += report.corruptions;
    this.leaks += report.leaks;
    this.allocatedClusters += report.allocatedClusters;
    this.totalClusters += report.totalClusters;
    this.compressedClusters += report.compressedClusters;
    this.fragmentedClusters += report.fragmentedClusters;
    for (const { text, guest, ...finding } of report.findings)
      this.list({ ...finding, text: `${name}: ${text}`, guest: guest && { start: guest.start + start, length: guest.length } });
  }

  report(): CheckReport {
    const { corruptions, leaks, allocatedClusters, totalClusters, compressedClusters, fragmentedClusters, imageEndOffset, findings } = this;
    return { corruptions, leaks, allocatedClusters, totalClusters, compressedClusters, fragmentedClusters, imageEndOffset, findings };
  }

  private list(finding: Finding): void {
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
  }
}
