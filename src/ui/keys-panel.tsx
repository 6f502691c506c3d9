import { Modal } from "./modal.tsx";
import { panel } from "./state/panels.ts";

const KEYS = [
  ["Ctrl+O", "Open files"],
  ["Ctrl+V", "Open files copied in the file manager"],
  ["Enter", "Press the main button"],
  ["← →", "Move between the layers of a chain; Enter chooses one"],
  ["Esc", "Cancel the running conversion"],
  ["?", "This list"],
] as const;

export function KeysPanel() {
  return (
    <Modal
      title="Keys"
      close={() => {
        panel.value = null;
      }}
    >
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
