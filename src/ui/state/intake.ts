import { signal } from "@preact/signals";
import { DiskError } from "../../core/errors.ts";
import type { GivenFiles } from "../../platform/window/given-file.ts";
import { announce } from "./announcements.ts";
import { addFiles } from "./images.ts";
import { route } from "./route.ts";

/** Files are held over the window. */
export const dragging = signal(false);
/** Files that were given are being listed; a large folder takes a moment. */
export const taking = signal(false);
/** Why the last files given could not be taken. */
export const intakeFailure = signal<unknown>(null);

/** Opens what a picker, a drop or a launch brings; null: the picker was closed. */
export async function open(coming: Promise<GivenFiles | null>): Promise<void> {
  intakeFailure.value = null;
  try {
    const given = await coming;
    if (given === null) return;
    taking.value = true;
    if (route.value.page !== "work") location.hash = "#work";
    const added = await addFiles(given);
    if (added.length === 0)
      intakeFailure.value = new DiskError(
        "wrong-format",
        given.folder ? "There is no disk image in this folder" : "These files describe a machine; its disks are not among them",
      );
  } catch (failure) {
    intakeFailure.value = failure;
    announce("The files could not be opened.");
  } finally {
    taking.value = false;
  }
}
